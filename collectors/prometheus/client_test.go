package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

var anHour = evidence.Window{Start: time.Unix(1795208400, 0), End: time.Unix(1795212000, 0)}

// collectFrom collects from a server at a URL with a short patience.
func collectFrom(t testing.TB, cfg Config) (*evidence.Bundle, error) {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.Collect(context.Background(), anHour)
}

// Each server that is of no use gives one clear line, without a secret.
func TestUselessServers(t *testing.T) {
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"unauthorized":   {answer(401, "text/plain", "no"), "401 unauthorized: give credentials"},
		"forbidden":      {answer(403, "application/json", `{}`), "403 forbidden"},
		"not found":      {answer(404, "text/plain", "404 page not found"), "not the base URL of a Prometheus API"},
		"internal error": {answer(500, "text/plain", "panic: secret"), "500 internal server error"},
		"says why":       {answer(422, "application/json", `{"status":"error","errorType":"execution","error":"too\nmany samples"}`), "422 execution: too many samples"},
		"html":           {answer(200, "text/html; charset=utf-8", "<html>login</html>"), "it answered HTML, not JSON"},
		"truncated":      {answer(200, "application/json", `{"status":"success","data":["a`), "the answer ended early (truncated JSON)"},
		"empty":          {answer(200, "application/json", ``), "the answer ended early (truncated JSON)"},
		"other JSON":     {answer(200, "application/json", `{"hello":"world"}`), "not a Prometheus answer"},
		"wrong data":     {answer(200, "application/json", `{"status":"success","data":{"a":1}}`), "malformed JSON"},
		"hangs":          {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 300ms"},
		"redirects abroad": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/api", http.StatusFound)
		}, "redirects to another host, which is refused"},
		"stays busy": {answer(503, "text/plain", "busy"), "503 service unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tc.serve)
			defer srv.Close()
			url := strings.Replace(srv.URL, "http://", "http://user:hunter2@", 1) + "/?token=s3cret"
			patience := 5 * time.Second
			if name == "hangs" {
				patience = 300 * time.Millisecond
			}
			_, err := collectFrom(t, Config{URL: url, Timeout: patience})
			checkLine(t, err, tc.want)
		})
	}
}

func checkLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("have %v, want %q", err, want)
	}
	for _, secret := range []string{"hunter2", "s3cret", "user", "\n"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows %q", err, secret)
		}
	}
	if !strings.HasPrefix(err.Error(), "prometheus at http://") || strings.Count(err.Error(), "http://") != 1 {
		t.Errorf("%q does not name the server once", err)
	}
}

func TestServerDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = collectFrom(t, Config{URL: "http://user:hunter2@" + l.Addr().String()})
	checkLine(t, err, "connection refused: nothing listens there")
}

func TestInterrupted(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer srv.Close()
	c, err := New(Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err = c.Collect(ctx, anHour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("have %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                              "the URL must look like",
		"localhost:9090":                "the URL must look like",
		"ftp://user:hunter2@host":       "the URL must look like",
		"http://user:hunter2@host:port": "the URL must look like",
	} {
		if _, err := New(Config{URL: url}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
	both := config.HTTPClientConfig{BasicAuth: &config.BasicAuth{Username: "u"}, Authorization: &config.Authorization{Credentials: "x"}}
	if _, err := New(Config{URL: "http://host", HTTP: both}); err == nil {
		t.Error("two ways to authenticate are accepted")
	}
}

// A busy server is asked again, no sooner than it says.
func TestRetryAfter(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"status":"success","data":[]}`)
	}))
	defer srv.Close()
	c, err := New(Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.client.metricNames(context.Background(), anHour); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second || asked.Load() != 2 {
		t.Errorf("asked %d times within %s", asked.Load(), took)
	}
}

// A proxy may let only GET through; the question then stands in the URL, and
// headers and the parameters of the base URL go along.
func TestFallsBackToGET(t *testing.T) {
	var posts, gets atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		gets.Add(1)
		if r.URL.Path != "/prefix/api/v1/query" || r.URL.Query().Get("query") != "up" || r.URL.Query().Get("tenant") != "a" || r.Header.Get("X-Scope-OrgID") != "b" || r.URL.Query().Get("limit") != "6" {
			t.Errorf("asked %s with %v", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}))
	defer srv.Close()
	c, err := New(Config{URL: srv.URL + "/prefix/?tenant=a", Headers: map[string]string{"X-Scope-OrgID": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.client.query(context.Background(), "up", anHour.End, 5); err != nil {
			t.Fatal(err)
		}
	}
	if posts.Load() != 1 || gets.Load() != 3 {
		t.Errorf("%d POST, %d GET: the refusal is not remembered", posts.Load(), gets.Load())
	}
}

// When the budget is used up what was read stays, and a gap says the rest.
func TestBudget(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "values"):
			fmt.Fprint(w, `{"status":"success","data":["redis_keyspace_hits_total","redis_keyspace_misses_total","redis_memory_used_bytes"]}`)
		case strings.HasSuffix(r.URL.Path, "series"):
			fmt.Fprint(w, `{"status":"success","data":[{"__name__":"redis_keyspace_hits_total","job":"redis"},{"__name__":"redis_keyspace_misses_total","job":"redis"},{"__name__":"redis_memory_used_bytes","job":"redis"}]}`)
		default:
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"redis"},"values":[[1795208415,"1"],[1795208430,"2"]]}]},"warnings":["PromQL warning: mixed buckets"],"infos":["a hint"]}`)
		}
	}))
	defer srv.Close()
	b, err := collectFrom(t, Config{URL: srv.URL, MaxQueries: 6, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	src := b.Sources[0]
	if src.Status != evidence.StatusPartial || src.Requests != 6 || len(b.Series) != 2 {
		t.Errorf("%+v, %d series", src, len(b.Series))
	}
	found := false
	for _, g := range b.Gaps {
		found = found || strings.Contains(g.Reason, "budget of queries is used up") && g.Kinds[0] == "cache.size" && g.Remedy == "allow more queries"
	}
	if !found {
		t.Errorf("no gap tells of the budget: %+v", b.Gaps)
	}
	notes := strings.Join(src.Notes, "\n")
	if !strings.Contains(notes, "the server warns: PromQL warning: mixed buckets") || !strings.Contains(notes, "the server notes: a hint") {
		t.Errorf("notes: %s", notes)
	}
}

// fake is a server with one redis whose commands come in very many labels, a
// clock that is wrong, and talk beside the data.
func fake(t *testing.T, series func(query string) int) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
		switch {
		case strings.HasSuffix(r.URL.Path, "values"):
			fmt.Fprint(w, `{"status":"success","data":["redis_keyspace_hits_total"]}`)
		case strings.HasSuffix(r.URL.Path, "series"):
			fmt.Fprint(w, `{"status":"success","data":[{"__name__":"redis_keyspace_hits_total","job":"redis","instance":"a"}]}`)
		default:
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[`)
			for i := range series(r.FormValue("query")) {
				fmt.Fprintf(w, `%s{"metric":{"job":"redis","instance":"%d"},"values":[[1795208415,"1"]]}`, strings.Repeat(",", min(i, 1)), i)
			}
			fmt.Fprint(w, `]},"infos":["PromQL info: metric might not be a counter"]}`)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// More series than are kept are not cut off at some place: services are read
// whole, and a gap says so.
func TestTooManySeries(t *testing.T) {
	url := fake(t, func(query string) int {
		if strings.Contains(query, "instance") {
			return maxSeries + 1
		}
		return 1
	})
	b, err := collectFrom(t, Config{URL: url, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Series) != 1 || b.Series[0].Entity != (evidence.Entity{Service: "redis"}) {
		t.Errorf("%d series, the first of %+v", len(b.Series), b.Series[0].Entity)
	}
	if !strings.Contains(fmt.Sprint(b.Gaps), "instances and operations are not kept apart") || len(b.Sources[0].Notes) != 0 {
		t.Errorf("%+v, %+v", b.Gaps, b.Sources[0].Notes)
	}
}

func TestClockDifference(t *testing.T) {
	c, err := New(Config{URL: fake(t, func(string) int { return 1 })})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(p.Gaps), "this clock and the server's differ by 1m0s") {
		t.Errorf("%+v", p.Gaps)
	}
}

// A connection that is cut in the middle of an answer is asked again, and
// what the first try brought is forgotten.
func TestCutConnection(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		const body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"2"]},{"metric":{"a":"2"},"value":[1,"3"]}]}}`
		if asked.Add(1) > 1 {
			fmt.Fprint(w, body)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		fmt.Fprint(w, body[:110])
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}))
	defer srv.Close()
	c, err := New(Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.client.query(context.Background(), "up", anHour.End, 10)
	if err != nil || len(a.Series) != 2 || asked.Load() != 2 {
		t.Errorf("%d series after %d tries: %v", len(a.Series), asked.Load(), err)
	}
}

// An answer without end is given up at the bound of bytes.
func TestEndlessAnswer(t *testing.T) {
	r := &cappedReader{in: strings.NewReader(strings.Repeat("[", 100)), left: 10}
	if err := newScanner(r).skip(); !errors.Is(err, errTooLarge) {
		t.Errorf("have %v", err)
	}
}

// Credentials in the URL's userinfo and a token of the settings reach the
// server, and go nowhere else.
func TestCredentials(t *testing.T) {
	var header atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"status":"success","data":[]}`)
	}))
	defer srv.Close()
	bearer := config.HTTPClientConfig{Authorization: &config.Authorization{Credentials: "hunter2"}}
	for want, cfg := range map[string]Config{
		"Basic dXNlcjpodW50ZXIy": {URL: strings.Replace(srv.URL, "//", "//user:hunter2@", 1)},
		"Bearer hunter2":         {URL: srv.URL, HTTP: bearer},
	} {
		b, err := collectFrom(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if header.Load() != want {
			t.Errorf("sent %q, want %q", header.Load(), want)
		}
		if text := fmt.Sprintf("%+v", b); strings.Contains(text, "hunter2") {
			t.Errorf("the bundle shows a secret: %s", text)
		}
	}
}
