package audits

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/rules"
)

// hooked is a service whose webhook is open, and that does not work.
func hooked(t *testing.T, c Config) (*Service, archive.Store) {
	t.Helper()
	store, err := archive.OpenDirectory(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	c.Store, c.Log = store, slog.New(slog.DiscardHandler)
	c.Targets = []Target{
		{Name: "shop", Route: []Route{{Match: map[string]string{"env": "prod"}, MatchRE: map[string]*regexp.Regexp{"alertname": regexp.MustCompile("^(?s:High.*)$")}, Before: 30 * time.Minute}}},
		{Name: "till", Route: []Route{{Match: map[string]string{"env": "prod", "service": "till"}, Before: 10 * time.Minute}}},
		{Name: "quiet"},
	}
	return New(c), store
}

func alertsOf(group string, starts time.Time, labels ...map[string]string) string {
	type one struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		StartsAt     time.Time         `json:"startsAt"`
		GeneratorURL string            `json:"generatorURL"`
	}
	p := map[string]any{"version": "4", "groupKey": group, "status": "firing"}
	var all []one
	for i, l := range labels {
		all = append(all, one{"firing", l, starts.Add(time.Duration(i) * time.Minute), ""})
	}
	p["alerts"] = all
	text, _ := json.Marshal(p)
	return string(text)
}

func send(s *Service, body string) (int, answer) {
	r := httptest.NewRequest("POST", "/api/v1/alertmanager", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	s.Alerts(w, r)
	var a answer
	_ = json.Unmarshal(w.Body.Bytes(), &a)
	return w.Code, a
}

var high = map[string]string{"env": "prod", "alertname": "HighLatency", "service": "shop"}

func TestAlertStartsARun(t *testing.T) {
	s, store := hooked(t, Config{})
	now := time.Now().UTC()
	code, a := send(s, alertsOf("g", now.Add(-20*time.Minute), map[string]string{"env": "test", "alertname": "HighLatency"}, high, map[string]string{"env": "prod", "service": "till"}))
	if code != http.StatusAccepted || len(a.Runs) != 2 || a.Runs[0].Outcome != archive.Added || a.Runs[1].Target != "till" {
		t.Fatalf("%d %+v", code, a)
	}
	r, err := store.Get(t.Context(), a.Runs[0].ID)
	if err != nil || r.State != archive.Queued || r.Note != "HighLatency" {
		t.Fatalf("%+v, %v", r, err)
	}
	// The first of the alerts is not of this target: from 30 min before the second until now.
	if start := now.Add(-49 * time.Minute); r.Window.Start.Sub(start).Abs() > 2*time.Second || now.Sub(r.Window.End).Abs() > 2*time.Second {
		t.Errorf("the window is %s to %s", r.Window.Start, r.Window.End)
	}
	for name, body := range map[string]string{
		"of nobody": alertsOf("g2", now, map[string]string{"env": "dev"}),
		"none":      alertsOf("g3", now),
		"resolved":  strings.ReplaceAll(alertsOf("g4", now, high), "firing", "resolved"),
	} {
		if code, a := send(s, body); code != http.StatusOK || len(a.Runs) != 0 {
			t.Errorf("%s: %d %+v", name, code, a)
		}
	}
}

// What an alert says of its time is held to what makes sense.
func TestAlertWindow(t *testing.T) {
	s, _ := hooked(t, Config{})
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		starts time.Time
		want   time.Duration
	}{
		"just now":   {now.Add(-time.Minute), 31 * time.Minute},
		"in future":  {now.Add(time.Hour), 30 * time.Minute},
		"long ago":   {now.AddDate(-30, 0, 0), defaultMaxAlert},
		"at the end": {now, 30 * time.Minute},
	} {
		w := s.alertWindow(c.starts, 30*time.Minute, now)
		if !w.End.Equal(now) || w.Duration() != c.want {
			t.Errorf("%s: %s to %s", name, w.Start, w.End)
		}
	}
}

func TestReplays(t *testing.T) {
	s, store := hooked(t, Config{})
	starts := time.Now().Add(-time.Hour)
	first := alertsOf("g", starts, high)
	for i, c := range []struct {
		body string
		want archive.Outcome
	}{{first, archive.Added}, {first, archive.Known}, {alertsOf("g", starts.Add(30*time.Minute), high), archive.Cooling}, {alertsOf("other", starts, high), archive.Added}} {
		if code, a := send(s, c.body); code != http.StatusAccepted || a.Runs[0].Outcome != c.want {
			t.Errorf("post %d: %d %+v, want %s", i, code, a, c.want)
		}
	}
	if queued, _, _ := store.Depth(t.Context()); queued != 2 {
		t.Errorf("%d queued", queued)
	}
}

// A thousand at once: the queue takes what it holds, the others are told to
// come again, and of a thousand times the same there is one.
func TestThousandPosts(t *testing.T) {
	for name, c := range map[string]struct {
		group func(int) string
		want  map[int]int
		queue int
	}{
		"all different": {func(i int) string { return fmt.Sprint("g", i) }, map[int]int{202: defaultQueue, 503: 1000 - defaultQueue}, defaultQueue},
		"all the same":  {func(int) string { return "g" }, map[int]int{202: 1000}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := hooked(t, Config{})
			starts := time.Now().Add(-time.Minute)
			var mu sync.Mutex
			codes := map[int]int{}
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					code, _ := send(s, alertsOf(c.group(i), starts, high))
					mu.Lock()
					defer mu.Unlock()
					codes[code]++
				})
			}
			wg.Wait()
			if fmt.Sprint(codes) != fmt.Sprint(c.want) {
				t.Errorf("answers %v, want %v", codes, c.want)
			}
			if queued, _, err := store.Depth(t.Context()); queued != c.queue || err != nil {
				t.Errorf("%d queued, %v; want %d", queued, err, c.queue)
			}
		})
	}
}

func TestRefusedPosts(t *testing.T) {
	s, store := hooked(t, Config{})
	valid := alertsOf("g", time.Now(), high)
	many := make([]map[string]string, maxAlerts+1)
	for name, c := range map[string]struct {
		body, kind string
		want       int
	}{
		"nothing":        {"", "application/json", 400},
		"no JSON":        {"hello", "application/json", 400},
		"cut off":        {valid[:len(valid)/2], "application/json", 400},
		"two of them":    {valid + valid, "application/json", 400},
		"another type":   {valid, "text/plain", 415},
		"a form":         {valid, "application/x-www-form-urlencoded", 415},
		"no type":        {valid, "", 415},
		"version 3":      {strings.Replace(valid, `"4"`, `"3"`, 1), "application/json", 400},
		"no group":       {strings.Replace(valid, `"g"`, `""`, 1), "application/json", 400},
		"wrong kinds":    {`{"version":4,"alerts":"x"}`, "application/json", 400},
		"bad time":       {strings.Replace(valid, `"startsAt":"2`, `"startsAt":"x2`, 1), "application/json", 400},
		"too large":      {`{"version":"` + strings.Repeat("4", maxPost) + `"}`, "application/json", 413},
		"too deep":       {strings.Repeat("[", 100_000), "application/json", 400},
		"too many":       {alertsOf("g", time.Now(), many...), "application/json", 400},
		"large, no JSON": {strings.Repeat("x", 4*maxPost), "application/json", 400},
	} {
		r := httptest.NewRequest("POST", "/api/v1/alertmanager", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		if s.Alerts(w, r); w.Code != c.want || !json.Valid(w.Body.Bytes()) || w.Body.Len() > 500 {
			t.Errorf("%s: %d %.200s, want %d", name, w.Code, w.Body, c.want)
		}
	}
	if queued, _, _ := store.Depth(t.Context()); queued != 0 {
		t.Errorf("%d were queued", queued)
	}
}

// A post that is refused is counted and leaves one line, of which the sender
// chooses nothing; the metrics keep to the practice of naming.
func TestRefusalsAreLogged(t *testing.T) {
	s, _ := hooked(t, Config{})
	var log bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	bodies := []string{"hello \x1b[31m\nforged", `{"version":"forged"}`, `{"version":"` + strings.Repeat("4", maxPost) + `"}`}
	for _, body := range bodies {
		send(s, body)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != len(bodies) || log.Len() > 300*len(bodies) || strings.Contains(log.String(), "forged") {
		t.Errorf("%d lines: %.2000s", len(lines), log.String())
	}
	for code, want := range map[string]float64{"400": 2, "413": 1} {
		if n := testutil.ToFloat64(s.metrics.posts.WithLabelValues(code)); n != want {
			t.Errorf("%v posts were answered with %s, want %v", n, code, want)
		}
	}
	problems, err := testutil.GatherAndLint(s.Gatherer(), ownMetrics(t, s)...)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// ownMetrics are the names that are not of a library.
func ownMetrics(t *testing.T, s *Service) (names []string) {
	t.Helper()
	families, err := s.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "culprit_") {
			names = append(names, f.GetName())
		}
	}
	if len(names) == 0 {
		t.Error("no metrics of its own")
	}
	return names
}

// A store that is away makes Alertmanager come again.
func TestPostWhileTheStoreIsAway(t *testing.T) {
	s, store := hooked(t, Config{})
	f := &fragile{Store: store}
	f.away.Store(true)
	s.Store = f
	if code, a := send(s, alertsOf("g", time.Now(), high)); code != http.StatusServiceUnavailable || len(a.Runs) != 0 {
		t.Errorf("%d %+v", code, a)
	}
	f.away.Store(false)
	if code, _ := send(s, alertsOf("g", time.Now(), high)); code != http.StatusAccepted {
		t.Error(code)
	}
}

// Nobody goes to an address that a post holds, and its text stays text.
func TestPostIsOnlyText(t *testing.T) {
	var visits atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer trap.Close()
	s, store := hooked(t, Config{})
	s.Targets[0].Audit = func(context.Context, archive.Run) (*report.Report, error) { return made(rules.NoProblem), nil }
	text := strings.NewReplacer("TRAP", trap.URL).Replace(`{"version":"4","groupKey":"TRAP","status":"firing","receiver":"TRAP","externalURL":"TRAP/a","alerts":[
		{"status":"firing","startsAt":"2026-11-20T12:00:00Z","generatorURL":"TRAP/b","fingerprint":"TRAP","annotations":{"runbook_url":"TRAP/c"},
		"labels":{"env":"prod","alertname":"High\u001b]8;;TRAP/d\u0007<script>\u202e\nx","prometheus":"TRAP/e","__address__":"TRAP/f"}}]}`)
	code, a := send(s, text)
	if code != http.StatusAccepted {
		t.Fatalf("%d %+v", code, a)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	var r archive.Run
	for deadline := time.Now().Add(20 * time.Second); r.State != archive.Done && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r, _ = store.Get(ctx, a.Runs[0].ID)
	}
	stop()
	wg.Wait()
	if r.State != archive.Done || visits.Load() != 0 {
		t.Errorf("state %s, %d visits", r.State, visits.Load())
	}
	if strings.ContainsAny(r.Note, "\x1b\n\u202e") || !strings.HasPrefix(r.Note, "High") {
		t.Errorf("the note is %q", r.Note)
	}
}

func FuzzPost(f *testing.F) {
	f.Add([]byte(alertsOf("g", time.Unix(0, 0), high)))
	f.Add([]byte(`{"version":"4","groupKey":"g","alerts":[{"status":"firing","labels":null,"startsAt":"0001-01-01T00:00:00Z"}]}`))
	store, err := archive.OpenDirectory(f.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(store.Close)
	s := New(Config{Store: store, Log: slog.New(slog.DiscardHandler), Targets: []Target{{Name: "any", Route: []Route{{Before: time.Minute}}}}})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.Alerts(w, r)
		if !json.Valid(w.Body.Bytes()) || w.Code != 200 && w.Code != 202 && w.Code != 400 && w.Code != 503 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		runs, err := store.Runs(t.Context(), archive.Query{Limit: 1000})
		for _, run := range runs {
			if d := run.Window.Duration(); d < time.Minute || d > defaultMaxAlert+time.Second {
				t.Errorf("a window of %s", d)
			}
		}
		if err != nil || len(runs) > defaultQueue {
			t.Errorf("%d runs, %v", len(runs), err)
		}
	})
}
