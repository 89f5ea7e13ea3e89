package notify

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/rules"
)

func TestMain(m *testing.M) {
	firstPause = time.Millisecond
	os.Exit(m.Run())
}

var began = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// runAt is a report of the hour'th hour with causes of these rules, each of
// which costs so many s.
func runAt(hour int, costs map[string]float64) *report.Report {
	start := began.Add(time.Duration(hour) * time.Hour)
	r := &report.Report{SchemaVersion: report.SchemaVersion, Window: evidence.Window{Start: start, End: start.Add(time.Hour)},
		Verdict: report.Verdict{Status: rules.NoProblem, Headline: "nothing"}, Symptoms: []report.Symptom{{Service: "web", Operation: "GET /<x>", RPS: 5}}}
	for rule, cost := range costs {
		r.Verdict.Status = rules.CausesFound
		r.Causes = append(r.Causes, report.Cause{Rank: len(r.Causes) + 1, Rule: rule, Title: rule + " <b>", Subject: evidence.Entity{Service: "web", Operation: "GET /<x>"}, Fingerprint: "f-" + rule,
			Impact: &report.Impact{Service: "web", Operation: "GET /<x>", Percentile: "p95", Now: 2 * cost, Then: cost, Saved: cost, Low: 0.95 * cost, High: 1.05 * cost}})
	}
	return r
}

// ear is a server that hears messages; fails lets so many of them fail first.
type ear struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
	keys  []string
	fails []int
	get   string
}

func listen(t *testing.T) *ear {
	t.Helper()
	e := &ear{get: "[]"}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.fails) > 0 {
			w.WriteHeader(e.fails[0])
			e.fails = e.fails[1:]
			return
		}
		if r.Method == http.MethodGet {
			io.WriteString(w, e.get)
			return
		}
		body, _ := io.ReadAll(r.Body)
		e.heard, e.keys = append(e.heard, r.URL.Path+" "+string(body)), append(e.keys, r.Header.Get("Idempotency-Key"))
	}))
	t.Cleanup(e.Close)
	return e
}

func at(url string) []Endpoint {
	return []Endpoint{{URL: config.Secret(url), HTTP: config.DefaultHTTPClientConfig}}
}

func notifier(t *testing.T, c Config) *Notifier {
	t.Helper()
	n, err := New(c, func() time.Time { return began })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (e *ear) wants(t *testing.T, count int, what string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) != count {
		t.Errorf("%s: %d messages, want %d: %q", what, len(e.heard), count, e.heard)
	}
}

// New and worse is said, once; the same, better and gone is not.
func TestOnlyNews(t *testing.T) {
	e := listen(t)
	state := filepath.Join(t.TempDir(), "said.json")
	c := Config{Webhooks: at(e.URL + "/hook?token=canary"), State: state}
	n := notifier(t, c)
	first, same, worse, gone := runAt(0, map[string]float64{"a": 1}), runAt(1, map[string]float64{"a": 1}), runAt(2, map[string]float64{"a": 3}), runAt(3, nil)
	for _, step := range []struct {
		now, before *report.Report
		count       int
		what        string
	}{{first, nil, 1, "new"}, {first, nil, 1, "the same report again"}, {same, first, 1, "the same cause"}, {worse, same, 2, "worse"}, {gone, worse, 2, "gone"}, {first, gone, 2, "an old report"}} {
		if err := n.Made(t.Context(), "shop", "http://c/r/1", step.now, step.before); err != nil {
			t.Fatal(err)
		}
		if step.what != "an old report" {
			e.wants(t, step.count, step.what)
		}
	}
	before := len(e.heard)
	if err := notifier(t, c).Made(t.Context(), "shop", "", first, gone); err != nil {
		t.Fatal(err)
	}
	e.wants(t, before, "after a restart")
	var body webhookBody
	if err := json.Unmarshal([]byte(strings.TrimPrefix(e.heard[0], "/hook ")), &body); err != nil || body.Target != "shop" || len(body.Changes) != 1 || body.Changes[0].Change != "new" {
		t.Errorf("%v, %q", err, e.heard[0])
	}
}

// A sink that is away for a while hears it all the same, with one key; one that
// refuses, or stays away, is an error without its address, and the others hear.
func TestRetry(t *testing.T) {
	e, refuses := listen(t), listen(t)
	e.fails = []int{503, 429, 500}
	refuses.fails = slices.Repeat([]int{403}, 9)
	gone := listen(t)
	gone.Close()
	n := notifier(t, Config{Webhooks: []Endpoint{at(e.URL)[0], at(refuses.URL + "/canary")[0], at(gone.URL + "/canary")[0]}})
	err := n.Made(t.Context(), "shop", "", runAt(0, map[string]float64{"a": 1}), nil)
	e.wants(t, 1, "after three failures")
	if err == nil || !strings.Contains(err.Error(), "webhook 2: it answered 403") || !strings.Contains(err.Error(), "webhook 3: no answer") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	if len(refuses.fails) != 8 {
		t.Errorf("a refusal was tried %d times", 9-len(refuses.fails))
	}
	if e.keys[0] == "" {
		t.Error("no key")
	}
}

func TestMutes(t *testing.T) {
	e := listen(t)
	path := filepath.Join(t.TempDir(), "mutes.yaml")
	n := notifier(t, Config{Webhooks: at(e.URL), Mutes: path})
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		text  string
		count int
	}{
		{"- {rule: a, reason: known, until: 2026-11-20T13:00:00Z}", 0},
		{"- {rule: a, reason: known, until: 2026-11-20T11:00:00Z}", 1}, // over
		{"- {fingerprint: f-a, target: other, reason: known, until: 2026-11-20T13:00:00Z}", 2},
		{"- {fingerprint: f-a, target: shop, service: web, reason: known, until: 2026-11-20T13:00:00Z}", 2},
	} {
		write(c.text)
		if err := n.Made(t.Context(), "shop", "", runAt(i, map[string]float64{"a": 1}), nil); err != nil {
			t.Fatal(err)
		}
		e.wants(t, c.count, c.text)
	}
	for text, want := range map[string]string{
		"- {rule: a, until: 2026-11-20T13:00:00Z}":            "no reason",
		"- {rule: a, reason: x}":                              "no end",
		"- {reason: x, until: 2026-11-20T13:00:00Z}":          "names no cause",
		"- {rule: a, reason: x, until: soon}":                 "mutes",
		"- {rool: a, reason: x, until: 2026-11-20T13:00:00Z}": "rool",
	} {
		write(text)
		if err := n.Made(t.Context(), "shop", "", runAt(9, nil), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSlackAndGrafana(t *testing.T) {
	s, g := listen(t), listen(t)
	n := notifier(t, Config{Slack: at(s.URL + "/services/canary"), Grafana: at(g.URL)})
	if err := n.Made(t.Context(), "shop", "http://c/r/1", runAt(0, map[string]float64{"a": 1}), nil); err != nil {
		t.Fatal(err)
	}
	s.wants(t, 1, "slack")
	g.wants(t, 1, "grafana")
	if !json.Valid([]byte(strings.TrimPrefix(s.heard[0], "/services/canary "))) || !strings.Contains(s.heard[0], `GET /\u0026lt;x\u0026gt;`) {
		t.Errorf("slack heard %q", s.heard[0])
	}
	if !strings.HasPrefix(g.heard[0], "/api/annotations {") || !strings.Contains(g.heard[0], `"target:shop"`) || strings.Contains(g.heard[0], "<b>") {
		t.Errorf("grafana heard %q", g.heard[0])
	}
	g.get = `[{"id":1}]` // it is there already: the answer to an earlier message was lost
	again := notifier(t, Config{Grafana: at(g.URL)})
	if err := again.Made(t.Context(), "shop", "", runAt(0, map[string]float64{"a": 1}), nil); err != nil {
		t.Fatal(err)
	}
	g.wants(t, 1, "grafana again")
}

// As a service announces: one sink for each place.
func TestAnnounce(t *testing.T) {
	e := listen(t)
	sinks := notifier(t, Config{Webhooks: at(e.URL), Slack: at(e.URL)}).Sinks()
	if len(sinks) != 2 {
		t.Fatalf("%d sinks", len(sinks))
	}
	for _, s := range sinks {
		if err := s.Announce(context.Background(), archive.Announcement{Run: archive.Run{Target: "shop"}, Report: runAt(0, map[string]float64{"a": 1})}); err != nil {
			t.Error(err)
		}
	}
	e.wants(t, 2, "announced")
}

func TestConfig(t *testing.T) {
	var c Config
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "url"), []byte("http://h/secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("slack: [{url_file: url}]\nwebhooks: [{name: x, url: \"http://h\", bearer_token: canary}]\nhold: 1h\n"), &c); err != nil {
		t.Fatal(err)
	}
	c.SetDirectory(dir)
	if n := notifier(t, c); len(n.sinks) != 2 {
		t.Errorf("%d sinks", len(n.sinks))
	}
	for _, bad := range []Endpoint{{}, {URL: "canary"}, {URL: "ftp://canary"}, {URL: "http://h", URLFile: "x"}, {URLFile: "/no/such"}} {
		if _, err := New(Config{Webhooks: []Endpoint{bad}}, time.Now); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v", bad.URLFile, err)
		}
	}
}
