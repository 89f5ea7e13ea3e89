package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
)

// canary is the secret that no output may show.
const canary = "canary-5f3a9"

// buffer is written by several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// outcome of one command line, run in process.
type outcome struct {
	code           int
	stdout, stderr string
}

func culprit(t *testing.T, args ...string) outcome {
	t.Helper()
	return culpritWith(t, nil, args...)
}

func culpritWith(t *testing.T, signals chan os.Signal, args ...string) outcome {
	t.Helper()
	var stdout, stderr buffer
	a := &app{stdout: &stdout, stderr: &stderr, now: time.Now, signals: signals, version: "test",
		exit: func(code int) { t.Errorf("the process was ended with %d", code) }}
	o := outcome{code: a.main(args)}
	o.stdout, o.stderr = stdout.String(), stderr.String()
	for name, text := range map[string]string{"stdout": o.stdout, "stderr": o.stderr} {
		if strings.Contains(text, canary) {
			t.Errorf("%s shows a secret:\n%s", name, text)
		}
		if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
			t.Errorf("%s shows a stack trace:\n%s", name, text)
		}
	}
	return o
}

// wantError checks the exit code and the one line of the error.
func (o outcome) wantError(t *testing.T, code int, text string) {
	t.Helper()
	last := o.stderr[strings.LastIndex(strings.TrimSuffix(o.stderr, "\n"), "\n")+1:]
	if o.code != code || !strings.HasPrefix(last, "culprit: ") || !strings.Contains(last, text) {
		t.Errorf("exit code %d, stderr %q; want %d and a line with %q", o.code, o.stderr, code, text)
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const k6Summary = `{"metrics":{"http_reqs":{"count":100},"http_req_duration":{"med":10,"p(95)":20,"max":30}}}`

func TestUsageErrors(t *testing.T) {
	future := time.Now().Add(time.Hour).Format(time.RFC3339)
	file := write(t, "run.culprit", "not a bundle")
	for name, c := range map[string]struct {
		args string
		want string
	}{
		"unknown flag":       {"analyze --nope", "unknown flag: --nope"},
		"unknown verb":       {"frobnicate", `unknown command "frobnicate"`},
		"no window":          {"analyze --prometheus http://localhost:1", "which window?"},
		"a load's file":      {"analyze --load " + file, file + ": neither a result file"},
		"a load's time":      {"analyze --load " + write(t, "s.json", k6Summary), "does not say when the run was"},
		"no source":          {"analyze --since 5m", "no source"},
		"two windows":        {"analyze --prometheus http://localhost:1 --since 5m --start 5", "exclude each other"},
		"empty window":       {"analyze --prometheus http://localhost:1 --start 100 --end 100", "the window is empty"},
		"backward window":    {"analyze --prometheus http://localhost:1 --start 200 --end 100", "the window is empty"},
		"future window":      {"analyze --prometheus http://localhost:1 --start " + future, "future"},
		"negative since":     {"analyze --prometheus http://localhost:1 --since=-5m", "not in the past"},
		"no time":            {"analyze --prometheus http://localhost:1 --start yesterday", "neither RFC 3339"},
		"baseline outside":   {"analyze --prometheus http://localhost:1 --start 100 --end 200 --baseline 50/60", "not a time inside the window"},
		"bad format":         {"analyze --format docx x", `no format is called "docx"`},
		"formats to stdout":  {"analyze --format md,html x", "-o DIR"},
		"bad gate":           {"analyze --fail-on maybe x", "--fail-on"},
		"bad gate ratio":     {"analyze --fail-on score>=7 x", "--fail-on"},
		"no such rules":      {"analyze --rules /no/such/dir x", "/no/such/dir"},
		"no such bundle":     {"analyze /no/such/file", "/no/such/file"},
		"not a bundle":       {"analyze " + file, "not a culprit bundle"},
		"bundle and source":  {"analyze --prometheus http://localhost:1 " + file, "its own sources"},
		"two bundles":        {"analyze a b", "accepts at most 1 arg(s), received 2: culprit analyze [run.culprit"},
		"collect to nowhere": {"collect --prometheus http://localhost:1 --since 5m", "-o run.culprit"},
		"run nothing":        {"run --prometheus http://localhost:1", "behind --"},
		"run without dashes": {"run --prometheus http://localhost:1 k6", "behind --"},
		"run no source":      {"run -- true", "no source"},
		"run not found":      {"run --load " + write(t, "s.json", k6Summary) + " -- no-such-load-tool", "no-such-load-tool"},
		"bad prometheus URL": {"analyze --since 5m --prometheus ://" + canary, "prometheus"},
		"bad traces URL":     {"analyze --since 5m --traces ftp://u:" + canary + "@h/", "trace store"},
		"bad DSN":            {"analyze --since 5m --postgres postgres://u:" + canary + "@h:port/x", "postgres"},
		"bad pooler DSN":     {"analyze --since 5m --pgbouncer postgres://u:" + canary + "@h:port/x", "pgbouncer"},
		"no such config":     {"analyze --since 5m --config /no/such.yaml", "/no/such.yaml"},
		"report of nothing":  {"report /no/such.json", "/no/such.json"},
		"report of rubbish":  {"report " + file, file},
		"trace of nothing":   {"trace", "which traces?"},
		"trace of the store": {"trace --traces http://localhost:1", "give its id"},
		"trace of two":       {"trace ff --traces http://localhost:1 --bundle " + file, "exclude each other"},
		"trace of no URL":    {"trace ff --traces ftp://u:" + canary + "@h/", "trace store"},
		"trace of no id":     {"trace xyz --bundle " + file, "not hexadecimal"},
		"trace in no format": {"trace --format html --bundle " + file, `"html"`},
		"report format":      {"report --format nope x", `"nope"`},
		"rule of no name":    {"rules explain nope", `no rule is called "nope"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := culprit(t, strings.Fields(c.args)...)
			o.wantError(t, exitUsage, c.want)
			if strings.Count(o.stderr, "\n") != 1 || o.stdout != "" {
				t.Errorf("stderr %q, stdout %q: want one line on stderr alone", o.stderr, o.stdout)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown key":       {"prometheus:\n  url: http://localhost:1\n  urll: x\n", "line 3: unknown key urll"},
		"unknown block":     {"graphite: {}\n", "line 1: unknown key graphite"},
		"nested":            {"prometheus:\n  basic_auth:\n    usernam: x\n    password: " + canary + "\n", "line 3: unknown key usernam"},
		"wrong kind":        {"prometheus:\n  headers: " + canary + "\n", "line 2: a value of the wrong kind"},
		"broken":            {"prometheus: [\n", "line 1"},
		"two credentials":   {"prometheus:\n  url: http://localhost:1\n  bearer_token: " + canary + "\n  basic_auth: {username: u, password: " + canary + "}\n", "prometheus: at most one of"},
		"two DSNs":          {"postgres:\n  dsn: postgres://u:" + canary + "@h/x\n  dsn_env: X\n", "exclude each other"},
		"no such variable":  {"postgres:\n  dsn_env: CULPRIT_NO_SUCH_VARIABLE\n", "CULPRIT_NO_SUCH_VARIABLE"},
		"no such DSN file":  {"postgres:\n  dsn_file: none.txt\n", "none.txt"},
		"pooler's DSN file": {"pgbouncer:\n  dsn_file: none.txt\n", "pgbouncer: reading dsn_file"},
		"no such rules":     {"load: x\nrules: [none]\n", "none"},
		"no currency":       {"prices: {core_hour: 0.04}\n", "currency is missing"},
		"no price":          {"prices: {currency: EUR, core_hour: -1}\n", "amounts of money"},
		"DSN without sense": {"postgres:\n  dsn: 'host=h password=" + canary + " port=x'\n", "postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			o := culprit(t, "analyze", "--since", "5m", "--config", write(t, "culprit.yaml", c.yaml))
			o.wantError(t, exitUsage, c.want)
			if strings.Count(o.stderr, "\n") != 1 {
				t.Errorf("stderr %q: want one line", o.stderr)
			}
		})
	}
}

// Paths in the configuration are relative to it, and flags win.
func TestConfigurationPaths(t *testing.T) {
	path := write(t, "culprit.yaml", "load: results/s.json\n")
	dir := filepath.Join(filepath.Dir(path), "results")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "s.json"), []byte(k6Summary), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := culprit(t, "analyze", "--since", "5m", "--config", path); o.code != exitOK || !strings.HasPrefix(o.stdout, "# ") {
		t.Errorf("exit code %d, stderr %s, stdout %.200s", o.code, o.stderr, o.stdout)
	}
	o := culprit(t, "analyze", "--since", "5m", "--config", path, "--load", "/no/such/result")
	o.wantError(t, exitFailed, "/no/such/result")
}

// hostile servers: what each answers, and what the report must say.
func hostile(t *testing.T) map[string]string {
	t.Helper()
	answer := func(status int, contentType, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(release); hanging.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "http://" + closed.Addr().String()
	closed.Close()
	return map[string]string{
		"down":      down,
		"hanging":   hanging.URL,
		"401":       answer(401, "text/plain", "who are you, "+canary),
		"500":       answer(500, "text/plain", "boom"),
		"html":      answer(200, "text/html", "<html><body>Please log in</body></html>"),
		"truncated": answer(200, "application/json", `{"status":"success","data":["a`),
	}
}

// A source that is of no use: exit 1, and a report with its gap and remedy.
func TestHostileSources(t *testing.T) {
	for name, address := range hostile(t) {
		for _, source := range []string{"prometheus", "traces"} {
			t.Run(source+"/"+name, func(t *testing.T) {
				t.Parallel()
				secret := strings.Replace(address, "http://", "http://user:"+canary+"@", 1) + "/?token=" + canary
				o := culprit(t, "analyze", "--"+source, secret, "--since", "5m", "--timeout", "1500ms")
				o.wantError(t, exitFailed, "no source could be read: "+source)
				if !strings.Contains(o.stdout, "would make it visible |") || !strings.Contains(o.stdout, "failed") {
					t.Errorf("the report names no gap with a remedy:\n%s", o.stdout)
				}
			})
		}
	}
}

// With a second source that answers, the run is reported and succeeds.
func TestOneDeadSource(t *testing.T) {
	summary := write(t, "s.json", k6Summary)
	for name, address := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := culprit(t, "analyze", "--prometheus", address, "--load", summary, "--since", "5m", "--timeout", "1500ms", "-o", dir)
			if o.code != exitOK || o.stdout != "" {
				t.Fatalf("exit code %d, stderr %q, stdout %q", o.code, o.stderr, o.stdout)
			}
			r := readReport(t, dir)
			i := 0
			for i < len(r.Coverage) && r.Coverage[i].Source != "prometheus" {
				i++
			}
			if i == len(r.Coverage) || r.Coverage[i].Status != evidence.StatusFailed || len(r.Coverage[i].Gaps) == 0 || r.Coverage[i].Gaps[0].Remedy == "" {
				t.Errorf("coverage %+v", r.Coverage)
			}
		})
	}
}

func readReport(t *testing.T, dir string) *report.Report {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := report.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHostilePostgres(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never speaks
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, host := range map[string]string{"down": strings.TrimPrefix(hostile(t)["down"], "http://"), "hanging": silent.Addr().String()} {
		o := culprit(t, "analyze", "--postgres", "postgres://u:"+canary+"@"+host+"/x?sslmode=disable", "--since", "5m", "--timeout", "1500ms")
		o.wantError(t, exitFailed, "no source could be read: postgres")
		if !strings.Contains(o.stdout, "failed") {
			t.Errorf("%s: report:\n%s", name, o.stdout)
		}
	}
}

// run wraps any command, keeps its evidence, and analyze gives the same bytes.
func TestRunThenAnalyze(t *testing.T) {
	dir := t.TempDir()
	summary := write(t, "s.json", k6Summary)
	o := culprit(t, "run", "--load", summary, "--settle", "0", "-o", dir, "--", "sh", "-c", "echo from the load; exit 5")
	if o.code != exitOK || o.stdout != "" || !strings.Contains(o.stderr, "from the load\n") || !strings.Contains(o.stderr, "exit code 5") {
		t.Fatalf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
	}
	b, err := bundle.ReadFile(filepath.Join(dir, "run.culprit"))
	if err != nil {
		t.Fatal(err)
	}
	exits := 0
	for _, l := range b.Loads {
		exits += l.ExitCode
	}
	if exits != 5 {
		t.Errorf("loads %+v", b.Loads)
	}
	again := t.TempDir()
	if o := culprit(t, "analyze", filepath.Join(dir, "run.culprit"), "-o", again); o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	for _, name := range []string{"report.md", "report.html", "report.json"} {
		sameFile(t, filepath.Join(dir, name), filepath.Join(again, name))
	}
	md := culprit(t, "report", filepath.Join(dir, "report.json"), "--format", "md")
	want, _ := os.ReadFile(filepath.Join(dir, "report.md"))
	if md.code != exitOK || md.stdout != string(want) {
		t.Errorf("rendering the JSON again gave other Markdown; stderr %q", md.stderr)
	}
}

// A dead source is told of before the load, which starts all the same; when
// no source was of use the report still says why, and the exit code is 1.
func TestRunWithDeadSources(t *testing.T) {
	down := hostile(t)["down"]
	dir := t.TempDir()
	o := culprit(t, "run", "--prometheus", down, "--postgres", "postgres://u:"+canary+"@"+strings.TrimPrefix(down, "http://")+"/x?sslmode=disable",
		"--settle", "0", "-o", dir, "--", "sh", "-c", "echo from the load")
	o.wantError(t, exitFailed, "no source could be read")
	load := strings.Index(o.stderr, "from the load\n")
	for _, source := range []string{"prometheus", "postgres"} {
		if at := strings.Index(o.stderr, "culprit: warning: "+source); at < 0 || at > load {
			t.Errorf("no warning of %s before the load:\n%s", source, o.stderr)
		}
	}
	r := readReport(t, dir)
	if len(r.Causes) != 0 || len(r.Loads) != 1 {
		t.Errorf("causes %v, loads %v", r.Causes, r.Loads)
	}
}

func sameFile(t *testing.T, a, b string) {
	t.Helper()
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		t.Errorf("%s: %d and %d bytes that differ, %v, %v", filepath.Base(a), len(x), len(y), errX, errY)
	}
}

func TestStrict(t *testing.T) {
	o := culprit(t, "analyze", "--strict", "--load", write(t, "s.json", k6Summary), "--since", "5m")
	o.wantError(t, exitInconclusive, "")
	if !strings.HasPrefix(o.stdout, "# ") {
		t.Errorf("no report before the exit: %q", o.stdout)
	}
}

// Files of traces say themselves when they are from.
func TestTracesFileAlone(t *testing.T) {
	path := write(t, "t.json", `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"GET /a","kind":2,"startTimeUnixNano":"1700000000100000000","endTimeUnixNano":"1700000000350000000"}]}]}]}`)
	o := culprit(t, "analyze", "--traces-file", path)
	if o.code != exitOK || !strings.Contains(o.stdout, "2023-11-14 22:13:20") {
		t.Errorf("exit code %d, stderr %q, stdout %.400s", o.code, o.stderr, o.stdout)
	}
	o = culprit(t, "trace", "--traces-file", path, "0102030405060708090a0b0c0d0e0f10")
	if o.code != exitOK || !strings.Contains(o.stdout, "250.000 ms") || !strings.Contains(o.stdout, "web GET /a") {
		t.Errorf("exit code %d, stderr %q, stdout %q", o.code, o.stderr, o.stdout)
	}
	culprit(t, "trace", "--traces-file", path, "ff").wantError(t, exitUsage, "no such trace")
}

func TestCutBundle(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.culprit")
	if o := culprit(t, "collect", "--load", write(t, "s.json", k6Summary), "--since", "5m", "-o", path); o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := write(t, "cut.culprit", string(whole[:len(whole)/2]))
	culprit(t, "analyze", cut).wantError(t, exitUsage, "cut short in ")
}
