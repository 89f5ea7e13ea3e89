package loadtest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/testdata/needs"
)

var window = evidence.Window{Start: time.UnixMilli(1000).UTC(), End: time.UnixMilli(61000).UTC()}

func runOf(t *testing.T, b *evidence.Bundle, err error) evidence.LoadRun {
	t.Helper()
	if err != nil || len(b.Loads) != 1 || len(b.Sources) != 1 {
		t.Fatalf("bundle %+v, error %v", b, err)
	}
	return b.Loads[0]
}

// Recorded from k6 1.8.1: 300 requests of which 100 failed, one threshold on
// the failures and one on a named request crossed, one on checkout_ms held.
func TestK6Shapes(t *testing.T) {
	thresholds := []evidence.Threshold{
		{Metric: "checkout_ms", Expr: "p(99)<10000", OK: true},
		{Metric: "http_req_duration{name:metrics}", Expr: "p(95)<1", OK: false},
		{Metric: "http_req_failed", Expr: "rate<0.01", OK: false},
	}
	for file, want := range map[string]evidence.LoadRun{
		"summary-export.json": {
			Requests: []evidence.LoadStat{
				{Count: 300, Failed: 100, P50: .000874633, P95: .0026194198500000003, P99: .0041636129699999955, Max: .008571061},
				{Name: "metrics", Count: 100, P50: .0016730245, P95: .00381547635, P99: .005194160110000017, Max: .008571061},
			}, Checks: thresholds, Start: 1000, End: 61000,
		},
		"handle-summary.json": {
			Requests: []evidence.LoadStat{
				{Count: 303, Failed: 101, P50: .000891941, P95: .0026436801999999993, P99: .00438775904000001, Max: .008669467},
				{Name: "metrics", Count: 101, P50: .001658205, P95: .003488565, P99: .007722053, Max: .008669467},
			}, Checks: thresholds, Start: 1000, End: 61000,
		},
	} {
		t.Run(file, func(t *testing.T) {
			b, err := NewFile(filepath.Join("testdata", file)).Collect(t.Context(), window)
			got := runOf(t, b, err)
			want.Tool, want.Notes = "k6", got.Notes
			if !near(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if len(got.Notes) != 1 {
				t.Errorf("notes %q: want one that says where the window comes from", got.Notes)
			}
		})
	}
}

// near compares with the latencies rounded to a nanosecond.
func near(a, b evidence.LoadRun) bool {
	for _, r := range []*evidence.LoadRun{&a, &b} {
		r.Requests = slices.Clone(r.Requests)
		for i := range r.Requests {
			for _, v := range []*float64{&r.Requests[i].P50, &r.Requests[i].P95, &r.Requests[i].P99, &r.Requests[i].Max} {
				*v = float64(int64(*v*1e9 + .5))
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestK6NewSchema(t *testing.T) {
	b, err := NewFile("testdata/summary-export-new-machine-readable.json").Collect(t.Context(), window)
	got := runOf(t, b, err)
	end := time.Date(2026, 11, 20, 21, 29, 17, 566374729, time.UTC)
	if got.End != end.UnixMilli() || got.End-got.Start != 5003 && got.End-got.Start != 5004 {
		t.Errorf("from %d to %d", got.Start, got.End)
	}
	if len(got.Requests) != 2 || got.Requests[0].Count != 303 || got.Requests[0].Failed != 101 || got.Requests[1].P95 == 0 {
		t.Errorf("requests %+v", got.Requests)
	}
	if got.Checks != nil || len(got.Notes) != 1 {
		t.Errorf("thresholds %v, notes %q", got.Checks, got.Notes)
	}
}

func TestDropped(t *testing.T) {
	run, err := parseK6([]byte(`{"metrics":{"dropped_iterations":{"count":17,"rate":1}}}`))
	if err != nil || run.Dropped != 17 {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestBadFiles(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"html":      {"<html>", "nor a plain CSV"},
		"cut":       {`{"metrics":{"a":`, "nor a plain CSV"},
		"other":     {`{"hello":1}`, "no result of a load tool"},
		"metric":    {`{"metrics":{"a":[1]}}`, `metric "a"`},
		"threshold": {`{"metrics":{"a":{"thresholds":{"x":[]}}}}`, "neither true, false"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.json")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := NewFile(path).Collect(t.Context(), window)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
	if _, err := NewFile("no/such/file").Collect(t.Context(), window); err == nil || strings.Count(err.Error(), "no/such/file") != 1 {
		t.Errorf("error %v", err)
	}
}

func TestCommandOfAnyTool(t *testing.T) {
	var out bytes.Buffer
	c, err := NewCommand([]string{"sh", "-c", "echo loading; exit 7", "--token", "hunter2"}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(&out, &out); err != nil {
		t.Fatal(err)
	}
	if code := c.Wait(); code != 7 || out.String() != "loading\n" {
		t.Errorf("code %d, output %q", code, &out)
	}
	b, err := c.Collect(t.Context(), c.Window())
	run := runOf(t, b, err)
	if run.Tool != "sh" || run.ExitCode != 7 || run.Start == 0 || run.End < run.Start || len(b.Gaps) != 0 {
		t.Errorf("run %+v, gaps %v", run, b.Gaps)
	}
	if strings.Contains(run.Command, "hunter2") {
		t.Errorf("the command keeps a secret: %s", run.Command)
	}
}

func TestCommandNotFound(t *testing.T) {
	c, err := NewCommand([]string{"no-such-load-tool"}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(nil, nil); err == nil || !strings.Contains(err.Error(), "no-such-load-tool") {
		t.Errorf("error %v", err)
	}
	if _, err := NewCommand(nil, ""); err == nil {
		t.Error("no command is a command")
	}
}

// A signal reaches what the command started as well.
func TestCommandSignal(t *testing.T) {
	c, err := NewCommand([]string{"sh", "-c", "sleep 60 & wait"}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(nil, nil); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { c.Signal(syscall.SIGTERM) })
	if code := c.Wait(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
	if w := c.Window(); w.Duration() > 10*time.Second {
		t.Errorf("took %s", w.Duration())
	}
}

func TestPrepareK6(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "k6-summary.json")
	for name, c := range map[string]struct {
		args   []string
		env    string
		want   []string
		result string
	}{
		"added":      {[]string{"/opt/k6-1.8.1", "-v", "run", "t.js"}, "", []string{"/opt/k6-1.8.1", "-v", "run", "--summary-export", own, "t.js"}, own},
		"by flag":    {[]string{"k6", "run", "--summary-export", "s.json", "t.js"}, "", nil, "s.json"},
		"by flag=":   {[]string{"k6", "run", "--summary-export=s.json", "t.js"}, "", nil, "s.json"},
		"by env":     {[]string{"k6", "run", "t.js"}, "e.json", nil, "e.json"},
		"no summary": {[]string{"k6", "run", "--no-summary", "t.js"}, "", nil, ""},
		"not run":    {[]string{"k6", "version"}, "", nil, ""},
		"other tool": {[]string{"vegeta", "run"}, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("K6_SUMMARY_EXPORT", c.env)
			cmd, err := NewCommand(c.args, dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				c.want = c.args
			}
			if !slices.Equal(cmd.args, c.want) || cmd.result != c.result {
				t.Errorf("args %q, result %q", cmd.args, cmd.result)
			}
		})
	}
}

func TestMissingResultIsAGap(t *testing.T) {
	c := &Command{tool: "k6", result: filepath.Join(t.TempDir(), "none.json")}
	b, err := c.Collect(t.Context(), window)
	runOf(t, b, err)
	if len(b.Gaps) != 1 || b.Sources[0].Status != evidence.StatusPartial || b.Gaps[0].Remedy == "" {
		t.Errorf("gaps %+v, source %+v", b.Gaps, b.Sources[0])
	}
}

func TestRedact(t *testing.T) {
	in := []string{"k6", "run", "-e", "TOKEN=canary", "-e", "BASE=http://u:canary@h/p?api=canary", "--password", "canary", "-H", "Authorization: canary",
		"--db-dsn=canary", "http://canary@host/x", "://canary%zz", "-e", "RATE=5", "/home/canary/t.js"}
	got := redact(in)
	if strings.Contains(got, "canary") {
		t.Errorf("a secret is left: %s", got)
	}
	for _, keep := range []string{"k6 run", "BASE=http://h/p", "RATE=5", "t.js", "http://host/x"} {
		if !strings.Contains(got, keep) {
			t.Errorf("%q lost %q", got, keep)
		}
	}
}

// TestRealK6 runs the real tool against a server of ours.
func TestRealK6(t *testing.T) {
	k6 := findK6(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			http.Error(w, "no", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	script := filepath.Join(t.TempDir(), "t.js")
	if err := os.WriteFile(script, []byte(`import http from 'k6/http';
export const options = { vus: 1, iterations: 5, thresholds: { http_req_failed: ['rate<0.01'], 'http_req_duration{name:good}': ['p(95)<10000'] } };
export default function () { http.get(__ENV.BASE + '/', { tags: { name: 'good' } }); http.get(__ENV.BASE + '/bad', { tags: { name: 'bad' } }); }
export function handleSummary() { return { stdout: 'own summary' }; }`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := NewCommand([]string{k6, "run", "--quiet", "-e", "BASE=" + server.URL, script}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.Start(&out, &out); err != nil {
		t.Fatal(err)
	}
	if code := c.Wait(); code != 99 {
		t.Errorf("exit code %d, want 99 for a crossed threshold; output:\n%s", code, &out)
	}
	b, err := c.Collect(t.Context(), c.Window())
	run := runOf(t, b, err)
	if len(run.Requests) != 2 || run.Requests[0].Count != 10 || run.Requests[0].Failed != 5 || run.Requests[1].Name != "good" || run.Requests[1].P95 <= 0 {
		t.Errorf("requests %+v", run.Requests)
	}
	want := []evidence.Threshold{{Metric: "http_req_duration{name:good}", Expr: "p(95)<10000", OK: true}, {Metric: "http_req_failed", Expr: "rate<0.01"}}
	if !reflect.DeepEqual(run.Checks, want) {
		t.Errorf("thresholds %+v", run.Checks)
	}
}

func findK6(t *testing.T) string {
	t.Helper()
	candidates := []string{"k6"}
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, "go", "bin", "k6"))
	}
	if cache, err := os.UserCacheDir(); err == nil {
		found, _ := filepath.Glob(filepath.Join(cache, "culprit-lab", "k6-*"))
		candidates = append(candidates, found...)
	}
	for _, c := range candidates {
		if path, err := exec.LookPath(c); err == nil {
			return path
		}
	}
	how := "k6 is not here: go -C testdata/lab run . doctor --fix"
	needs.Missing(t, how)
	return ""
}

func FuzzK6(f *testing.F) {
	for _, name := range []string{"summary-export.json", "handle-summary.json", "summary-export-new-machine-readable.json"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		a, errA := parseK6(content)
		b, errB := parseK6(content)
		if (errA == nil) != (errB == nil) || !reflect.DeepEqual(a, b) {
			t.Errorf("two readings differ: %+v, %+v", a, b)
		}
	})
}
