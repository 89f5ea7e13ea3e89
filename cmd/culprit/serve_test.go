package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/testdata/needs"
)

// nowhere is a target whose source refuses at once.
const nowhere = "{name: shop, schedule: '@yearly', prometheus: {url: 'http://127.0.0.1:1'}, alerts: [{match: {env: prod}}]}"

func serveConfig(t *testing.T, target string) string {
	t.Helper()
	return write(t, "culprit.yaml", fmt.Sprintf("targets: [%s]\nhistory: {directory: '%s'}\n", target, filepath.Join(t.TempDir(), "history")))
}

// What is refused is refused before anything is written.
func TestServeRefuses(t *testing.T) {
	good := serveConfig(t, nowhere)
	t.Chdir(t.TempDir())
	for name, c := range map[string]struct{ config, flags, want string }{
		"no configuration":  {"", "", "give --config"},
		"no such file":      {"", "--config /no/such.yaml", "/no/such.yaml"},
		"no source":         {"targets: [{name: shop}]", "", "culprit.yaml: line 1: target shop: no source"},
		"unknown key":       {"targets:\n- name: shop\n  promethius: {url: x}", "", "culprit.yaml: line 3: unknown key promethius"},
		"a bad name":        {"targets: [{name: Shop/1, prometheus: {url: 'http://h'}}]", "", "lower-case"},
		"two of a name":     {"targets: [{name: a, prometheus: {url: 'http://h'}}, {name: a, prometheus: {url: 'http://h'}}]", "", `line 1: name "a" is taken`},
		"a bad schedule":    {"targets: [{name: a, schedule: daily, prometheus: {url: 'http://h'}}]", "", `schedule "daily" is no cron expression`},
		"a bad duration":    {"history:\n  directory: x\n  keep: " + canary + "\ntargets: [" + nowhere + "]", "", "culprit.yaml: line 3: keep: not a valid duration"},
		"a bad window":      {"targets:\n- name: a\n  prometheus: {url: 'http://h'}\n  window: " + canary, "", "culprit.yaml: line 4: window: not a valid duration"},
		"a schedule's line": {"targets:\n- name: a\n  prometheus: {url: 'http://h'}\n  schedule: daily", "", `culprit.yaml: line 4: target a: schedule "daily"`},
		"a regexp's line":   {"prometheus: {url: 'http://h'}\nalerts:\n- match_re: {job: '('}", "", "culprit.yaml: line 2: target default: alerts: match_re job"},
		"a sink's line":     {"prometheus: {url: 'http://h'}\nnotify:\n  webhooks: [{url: 'ftp://h/" + canary + "'}]", "", "culprit.yaml: line 2: notify"},
		"a bad zone":        {"targets: [{name: a, time_zone: Mars/Olympus, prometheus: {url: 'http://h'}}]", "", "Mars/Olympus"},
		"a bad expression":  {"targets: [{name: a, alerts: [{match_re: {job: '('}}], prometheus: {url: 'http://h'}}]", "", "match_re job"},
		"never":             {"targets: [{name: a, schedule: none, prometheus: {url: 'http://h'}}]", "", "neither a schedule nor alerts"},
		"sources twice":     {"prometheus: {url: 'http://h'}\ntargets: [{name: a, prometheus: {url: 'http://h'}}]", "", "both at the top"},
		"two histories":     {"targets: [" + nowhere + "]\nhistory: {directory: x, postgres: {dsn: y}}", "", "exclude each other"},
		"a bad DSN":         {"targets: [{name: a, postgres: {dsn: 'postgres://u:" + canary + "@h:port/x'}}]", "", "target a: postgres"},
		"a history's DSN":   {"targets: [" + nowhere + "]\nhistory: {postgres: {dsn: 'postgres://u:" + canary + "@h:port/x'}}", "", "history: the DSN"},
		"to everybody":      {"", "--listen 0.0.0.0:0 --config " + good, "beyond the loopback"},
		"to all names":      {"", "--listen :0 --config " + good, "beyond the loopback"},
		"no address":        {"", "--listen nonsense --config " + good, "--listen"},
		"a web file":        {"", "--web-config /no/such.yml --config " + good, "/no/such.yml"},
		"an external URL":   {"", "--external-url ftp://h --config " + good, "--external-url"},
		"migrate to none":   {"", "migrate --config " + good + " --from .", "names no history.postgres"},
		"wrong kind in one": {"targets: [{name: a, window: " + canary + ", prometheus: {url: 'http://h'}}]", "", "culprit.yaml: line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"serve"}, strings.Fields(c.flags)...)
			if c.config != "" {
				args = append(args, "--config", write(t, "culprit.yaml", c.config))
			}
			o := culprit(t, args...)
			want := exitUsage
			if name == "a history's DSN" {
				want = exitFailed
			}
			o.wantError(t, want, c.want)
			if left, err := os.ReadDir("."); len(left) > 0 || err != nil {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// served is a service inside of the test.
type served struct {
	url, log string
	client   *http.Client
	stop     func() outcome
}

func serving(t *testing.T, scheme string, client *http.Client, args ...string) *served {
	t.Helper()
	port := needs.FreePort(t)
	signals := make(chan os.Signal, 1)
	s := &served{url: fmt.Sprintf("%s://127.0.0.1:%d", scheme, port), client: client}
	var o outcome
	var wg sync.WaitGroup
	wg.Go(func() {
		o = culpritWith(t, signals, append([]string{"serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port)}, args...)...)
	})
	s.stop = sync.OnceValue(func() outcome {
		signals <- syscall.SIGTERM
		wg.Wait()
		return o
	})
	t.Cleanup(func() { s.stop() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not listen: %+v", s.stop())
		}
	}
}

// ask gives the code and the text of an answer.
func (s *served) ask(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	res, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func prodAlert(group string) string {
	return fmt.Sprintf(`{"version":"4","groupKey":"%s","status":"firing","alerts":[{"status":"firing","labels":{"env":"prod","alertname":"Slow"},"startsAt":"%s"}]}`, group, time.Now().UTC().Format(time.RFC3339))
}

const hook = "/api/v1/alertmanager"

// The whole line with nothing but a target: an alert becomes a run, the run a
// report, and the report a page, in a directory that nobody named.
func TestServeOneTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	s := serving(t, "http", http.DefaultClient, "--config", write(t, "culprit.yaml", "targets: ["+nowhere+"]"))
	code, text := s.ask(t, "POST", hook, prodAlert("g"))
	var a struct {
		Runs []struct{ Target, ID, Outcome string }
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || code != http.StatusAccepted || len(a.Runs) != 1 || a.Runs[0].Outcome != "queued" {
		t.Fatalf("%d %s", code, text)
	}
	run := "/runs/" + a.Runs[0].ID
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(text, "no source could be read") && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, text = s.ask(t, "GET", run, "")
	}
	for path, want := range map[string]string{
		"/": "shop", "/targets/shop": "no source could be read", run: "connection refused", run + "/report.html": "connection refused", run + "/report.json": `"schema_version": 1`, run + "/report.md": "connection refused",
		"/-/healthy": "healthy", "/-/ready": "ready", "/metrics": `culprit_serve_runs_total{state="failed",target="shop",trigger="alert"} 1`,
	} {
		if code, text := s.ask(t, "GET", path, ""); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d, %q is not in %.3000s", path, code, want, text)
		}
	}
	for path, want := range map[string]int{hook: 404, "/nothing": 404, "/runs/x": 404, "/runs/x/report.html": 404, run + "/report.exe": 404, "/targets/x": 404, "/-/reload": 404, "/debug/pprof/": 404} {
		if code, _ := s.ask(t, "GET", path, ""); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	if o := s.stop(); o.code != exitOK {
		t.Errorf("exit code %d, %s", o.code, o.stderr)
	}
	if _, err := os.Stat(filepath.Join("culprit-history", "version")); err != nil {
		t.Error(err)
	}
}

// A page of somebody else's cannot read what is served to this machine, nor
// post to it.
func TestServeFromElsewhere(t *testing.T) {
	s := serving(t, "http", http.DefaultClient, "--config", serveConfig(t, nowhere), "--external-url", "https://culprit.example.com/x")
	for name, c := range map[string]struct {
		method, body string
		header       []string
		want         int
	}{
		"another name":   {"GET", "", []string{"Host", "evil.example.com"}, 421},
		"the proxy":      {"GET", "", []string{"Host", "culprit.example.com"}, 200},
		"this machine":   {"GET", "", []string{"Host", "localhost:80"}, 200},
		"a cross post":   {"POST", prodAlert("a"), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a foreign post": {"POST", prodAlert("b"), []string{"Origin", "https://evil.example.com"}, 403},
		"a form":         {"POST", prodAlert("c"), []string{"Content-Type", "text/plain"}, 415},
		"not of anybody": {"POST", prodAlert("d"), nil, 202},
	} {
		path := "/"
		if c.method == "POST" {
			path = hook
		}
		if code, text := s.ask(t, c.method, path, c.body, c.header...); code != c.want {
			t.Errorf("%s: %d %.200s, want %d", name, code, text, c.want)
		}
	}
}

// secured writes a web configuration with a user and TLS, and gives a client
// that trusts it.
func secured(t *testing.T) (path string, client *http.Client) {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(canary), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"web.yml": fmt.Appendf(nil, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {alertmanager: '%s'}\n", hash),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(der)))
	return filepath.Join(dir, "web.yml"), &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxConnsPerHost: 100}}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Over TLS and with users: nobody gets anything without a password, however
// often it is tried.
func TestServeSecured(t *testing.T) {
	web, client := secured(t)
	s := serving(t, "https", client, "--config", serveConfig(t, nowhere), "--web-config", web)
	for _, path := range []string{"/", "/targets/shop", "/metrics", "/-/healthy", "/-/ready", "/nothing"} {
		if code, _ := s.ask(t, "GET", path, ""); code != http.StatusUnauthorized {
			t.Errorf("%s without a password: %d", path, code)
		}
	}
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if code, _ := s.ask(t, "POST", hook, prodAlert("g")); code != http.StatusUnauthorized {
				t.Errorf("a post without a password: %d", code)
			}
		})
	}
	wg.Wait()
	wrong, right := &http.Request{Header: http.Header{}}, &http.Request{Header: http.Header{}}
	wrong.SetBasicAuth("alertmanager", "guess")
	right.SetBasicAuth("alertmanager", canary)
	if code, _ := s.ask(t, "POST", hook, prodAlert("g"), "Authorization", wrong.Header.Get("Authorization")); code != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", code)
	}
	auth := right.Header.Get("Authorization")
	if _, text := s.ask(t, "GET", "/targets/shop", "", "Authorization", auth); !strings.Contains(text, "None yet") {
		t.Errorf("something was queued without a password: %s", text)
	}
	if code, text := s.ask(t, "POST", hook, prodAlert("g"), "Authorization", auth); code != http.StatusAccepted {
		t.Errorf("%d %s", code, text)
	}
	if _, text := s.ask(t, "GET", "/metrics", "", "Authorization", auth); !strings.Contains(text, `culprit_serve_refused_requests_total{reason="Unauthorized"} 1007`) {
		t.Errorf("the 1,007 that had no password are not counted:\n%s", text)
	}
	if o := s.stop(); !strings.Contains(o.stderr, "requests were refused") || strings.Count(o.stderr, "requests were refused") > 3 || strings.Contains(o.stderr, canary) {
		t.Errorf("refusals are told seldom, and without passwords:\n%s", o.stderr)
	}
	encrypted := filepath.Join(filepath.Dir(web), "tls.yml")
	if err := os.WriteFile(encrypted, []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	culprit(t, "serve", "--listen", "0.0.0.0:0", "--web-config", encrypted, "--config", serveConfig(t, nowhere)).wantError(t, exitUsage, "beyond the loopback")
	if o := culprit(t, "serve", "--listen", "0.0.0.0:-1", "--web-config", web, "--config", serveConfig(t, nowhere)); strings.Contains(o.stderr, "beyond the loopback") || o.code == exitOK {
		t.Errorf("with users it may listen anywhere, and fails for the port: %d %s", o.code, o.stderr)
	}
}

// A thousand posts at once, most of them too large: each is answered, few are
// taken, and memory is bounded.
func TestServeUnderPosts(t *testing.T) {
	r := serveProcess(t, serveConfig(t, nowhere))
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 300}, Timeout: time.Minute}
	s := &served{url: r.url, client: client}
	large := `{"version":"4","groupKey":"` + strings.Repeat("x", 3<<20) + `"}`
	var mu sync.Mutex
	codes := map[int]int{}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			body := large
			switch i % 4 {
			case 0:
				body = prodAlert(fmt.Sprint("g", i))
			case 1:
				body = prodAlert(fmt.Sprint("g", i))[:100]
			}
			code := post(client, s.url+hook, body)
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	most := 0.0
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for working := true; working; {
		select {
		case <-done:
			working = false
		case <-time.After(20 * time.Millisecond):
			mib, err := rss(r.cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, mib)
		}
	}
	t.Logf("answers %v, at most %.1f MiB", codes, most)
	if codes[202] == 0 || codes[202]+codes[503] < 250 || codes[400] < 200 || codes[202] > 250 || most > 160 {
		t.Errorf("answers %v, at most %.1f MiB", codes, most)
	}
	if code, _ := s.ask(t, "GET", "/-/healthy", ""); code != http.StatusOK {
		t.Errorf("healthy: %d", code)
	}
	if err := r.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// post gives 413 also where the server hung up on a body that it will not read.
func post(client *http.Client, url, body string) int {
	res, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		if len(body) > 1<<20 {
			return http.StatusRequestEntityTooLarge
		}
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// From a directory to PostgreSQL by one setting and one command.
func TestServeMigrate(t *testing.T) {
	_, dsn := realPostgres(t)
	history := filepath.Join(t.TempDir(), "history")
	target := "targets: [{name: shop, schedule: '@every 1s', prometheus: {url: 'http://127.0.0.1:1'}}]\n"
	s := serving(t, "http", http.DefaultClient, "--config", write(t, "a.yaml", target+"history: {directory: '"+history+"'}"))
	time.Sleep(3500 * time.Millisecond)
	s.stop()
	was := openRuns(t, history)
	moved := write(t, "b.yaml", strings.ReplaceAll(target, "@every 1s", "@yearly")+"history: {postgres: {dsn: '"+dsn+"'}}")
	for _, want := range []string{fmt.Sprintf("%d runs copied, there already: 0", len(was)), fmt.Sprintf("0 runs copied, there already: %d", len(was))} {
		if o := culprit(t, "serve", "migrate", "--config", moved, "--from", history); o.code != exitOK || !strings.Contains(o.stdout, want) {
			t.Errorf("%d %q %s, want %q", o.code, o.stdout, o.stderr, want)
		}
	}
	s = serving(t, "http", http.DefaultClient, "--config", moved)
	for _, r := range was {
		if code, text := s.ask(t, "GET", "/runs/"+r.ID+"/report.json", ""); r.State == archive.Failed && (code != http.StatusOK || !strings.Contains(text, "connection refused")) {
			t.Errorf("%s: %d %.200s", r.ID, code, text)
		}
	}
	if len(was) < 2 {
		t.Errorf("%d runs", len(was))
	}
}
