package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/testdata/needs"
)

var now = time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)

const recorded = "../../testdata/scenarios"

var reports = map[string]*report.Report{}

func recordedReport(t *testing.T, scenario string) (*report.Report, []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(recorded, scenario, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if reports[scenario] == nil {
		if reports[scenario], err = report.Read(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return reports[scenario], text
}

// filled is a history of five days, an audit an hour, whose reports are
// recorded ones of the lab: healthy for long, a cause that comes and goes, one
// that stays, and one that is new.
func filled(t *testing.T) archive.Store {
	t.Helper()
	store, err := archive.OpenDirectory(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	for hour := range 120 {
		slot := now.Truncate(time.Hour).Add(time.Duration(hour-119) * time.Hour)
		r := archive.NewRun("shop", archive.Schedule, slot.Format(time.RFC3339), slot, evidence.Window{Start: slot.Add(-time.Hour), End: slot})
		r.Plan, r.Added, r.Began, r.Ended = "@hourly UTC", slot, slot, slot.Add(3*time.Second)
		r.State, r.Owner, r.Attempt = archive.Done, "replica-1", 1
		scenario := "healthy"
		switch {
		case hour == 80:
			r.State, r.Reason = archive.Missed, "nobody was there to begin it"
		case hour == 81:
			r.State, r.Reason = archive.Skipped, "the audit before was still running"
		case hour == 82:
			r.State, r.Reason = archive.Failed, "no source could be read: "+hostile
		case hour == 90:
			r.Trigger, r.Note = archive.Alert, hostile
		case hour > 30 && hour < 40, hour == 100:
			scenario = "pool-saturation"
		case hour > 110 && hour < 119:
			scenario = "cache-misses"
		}
		if r.State != archive.Done {
			put(t, store, r, nil)
			continue
		}
		made, text := recordedReport(t, scenario)
		r.Summarize(made)
		if hour == 119 { // what was there the last time, and one more
			cache := r
			cache.Summarize(first(recordedReport(t, "cache-misses")))
			made, text = recordedReport(t, "n-plus-one")
			r.Summarize(made)
			r.Causes = append(r.Causes, cache.Causes...)
		}
		put(t, store, r, text)
	}
	return store
}

func first[A, B any](a A, _ B) A { return a }

func put(t *testing.T, s archive.Store, r archive.Run, text []byte) {
	t.Helper()
	if _, err := s.Put(t.Context(), r, text); err != nil {
		t.Fatal(err)
	}
}

// hostile is what a service or an alert may be called.
const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(1)>` + "\u202e{{.}}" + `javascript:alert(1)`

func site(t *testing.T, store archive.Store) *httptest.Server {
	t.Helper()
	hourly := func(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }
	p := Pages{Store: store, Version: "test", Now: func() time.Time { return now },
		Targets: []Target{{Name: "shop", Plan: "@hourly UTC", Alerts: true, Next: hourly}, {Name: "till", Plan: "", Alerts: true}}}
	s := httptest.NewServer(p.Handler())
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// Every page that links lead to is there, under a policy that lets nothing in.
func TestPages(t *testing.T) {
	s := site(t, filled(t))
	seen := map[string]bool{}
	todo, runs := []string{s.URL + "/"}, map[string]bool{}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if seen[at] || !strings.HasPrefix(at, s.URL) {
			continue
		}
		if _, run, ok := strings.Cut(at, "/runs/"); ok { // three runs in all formats stand for all
			if id, _, _ := strings.Cut(run, "/"); !runs[id] && len(runs) == 3 {
				continue
			} else {
				runs[id] = true
			}
		}
		seen[at] = true
		code, header, text := get(t, at)
		if code != http.StatusOK || header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %d %v", at, code, header)
		}
		if strings.HasSuffix(at, ".html") || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
			continue
		}
		todo = append(todo, links(t, at, text)...)
	}
	for _, want := range []string{"/targets/shop", "/targets/till", "/targets/shop?before=2026-11-18T11%3a00%3a00Z", "/targets/shop?before=2026-11-16T09%3a00%3a00Z"} {
		if !seen[s.URL+want] {
			t.Errorf("no link leads to %s", want)
		}
	}
	t.Logf("%d pages", len(seen))
}

// links reads a page, and holds that what others wrote stayed text in it.
func links(t *testing.T, at, text string) (out []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{"script", "img", "iframe", "object", "form", "base"}, n.Data) {
			t.Errorf("%s: a %s", at, n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" {
				t.Errorf("%s: the attribute %s of %s", at, a.Key, n.Data)
			}
			if a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				out = append(out, resolve(t, at, a.Val))
			}
		}
	}
	return out
}

func resolve(t *testing.T, at, href string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := r.URL.Parse(href)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func TestTrends(t *testing.T) {
	run := func(hour int, saved map[string]float64) archive.Run {
		slot := now.Add(time.Duration(hour) * time.Hour)
		r := archive.NewRun("shop", archive.Schedule, fmt.Sprint(hour), slot, evidence.Window{})
		for _, f := range []string{"a", "b", "c", "d"} {
			if s, ok := saved[f]; ok {
				r.Causes = append(r.Causes, archive.Cause{Fingerprint: f, Title: f, Saved: s})
			}
		}
		return r
	}
	runs := []archive.Run{run(0, map[string]float64{"a": 0.1, "b": 0.2}), run(1, map[string]float64{"b": 0.4}), run(2, map[string]float64{"b": 0.3, "c": 0}), run(3, map[string]float64{"a": 0.1, "b": 0.2, "d": 1})}
	var got []string
	for _, x := range trendsOf(runs) {
		got = append(got, fmt.Sprintf("%s %s %d/%d most %g dots %d strokes %d", x.Cause.Title, x.State, x.Seen, x.Of, x.Most, len(x.Picture.Dots), len(x.Picture.Strokes)))
	}
	want := []string{"d new 1/1 most 1 dots 1 strokes 3", "b ongoing 4/4 most 0.4 dots 4 strokes 0", "a back 2/4 most 0.1 dots 2 strokes 2", "c gone 1/2 most 0 dots 1 strokes 3"}
	if !slices.Equal(got, want) {
		t.Errorf("trends\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if x := trendsOf(runs[:1]); len(x) != 2 || x[0].State != "seen once" {
		t.Errorf("of one run: %+v", x)
	}
	if x := trendsOf(nil); len(x) != 0 {
		t.Errorf("of none: %+v", x)
	}
}

// away is a store that cannot be reached.
type away struct{ archive.Store }

var errAway = errors.New("history: PostgreSQL did not answer")

func (away) Depth(context.Context) (int, int, error)                    { return 0, 0, errAway }
func (away) Runs(context.Context, archive.Query) ([]archive.Run, error) { return nil, errAway }
func (away) Get(context.Context, string) (archive.Run, error)           { return archive.Run{}, errAway }
func (away) Report(context.Context, string) ([]byte, error)             { return nil, errAway }

func TestStoreAway(t *testing.T) {
	s := site(t, away{})
	for _, path := range []string{"/", "/targets/shop", "/runs/x", "/runs/x/report.html"} {
		if code, header, text := get(t, s.URL+path); code != http.StatusServiceUnavailable || !strings.Contains(text, "did not answer") || header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}

// TestInBrowser walks through the pages in Chromium, wide and narrow, light
// and dark: no console message, no request to elsewhere, nothing wider than the
// window, no violation that axe-core finds, and the trends are drawn.
func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short mode")
	}
	browser, node, modules := needs.Browser(t)
	s := site(t, filled(t))
	shot := filepath.Join(t.TempDir(), "target.png")
	if keep := os.Getenv("CULPRIT_SHOTS"); keep != "" {
		shot = filepath.Join(keep, "target.png")
	}
	cmd := exec.Command(node, filepath.Join("testdata", "check.cjs"), browser, s.URL+"/", shot)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var wrong []string
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}
