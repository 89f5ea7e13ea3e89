package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
)

// In recorded runs the quota of a service was cut: for the last third, and for
// 20 s. Written down as an event at that moment it is what stands first, with
// the throttling behind it; at another moment, of another service, or before the
// window it is no cause, and the throttling stands first as ever.
func TestEventsOfRecordedRuns(t *testing.T) {
	const experiment, change, throttled = "chaos-experiment", "recent-change", "cpu-throttling"
	at := func(seconds int, more string) string {
		return fmt.Sprintf("- {time: %d, %s}\n", seconds, more)
	}
	const late, brief = 1795234934, 1795236168
	for name, c := range map[string]struct {
		run, events string
		want        []string
	}{
		"as it was":                  {"throttled-late", at(late, "kind: chaos, text: quota, entity: {service: catalog}"), []string{experiment, throttled}},
		"nobody wrote down where":    {"throttled-late", at(late, "kind: deployment, text: v2"), []string{change, throttled}},
		"as it was, and its end":     {"throttled-briefly", fmt.Sprintf("- {time: %d, end: %d, kind: chaos, entity: {service: catalog}}\n", brief, brief+20), []string{experiment, throttled}},
		"with another, that did not": {"throttled-briefly", fmt.Sprintf("- {time: %d, end: %d, kind: chaos, entity: {service: catalog}}\n", brief, brief+20) + at(brief-13, "kind: deployment, text: v2, entity: {service: catalog}"), []string{experiment, throttled}},
		"of another service":         {"throttled-late", at(late, "kind: chaos, text: quota, entity: {service: payments}"), []string{throttled}},
		"of nobody":                  {"throttled-late", at(late, "kind: chaos, text: quota, entity: {service: nobody}"), []string{throttled}},
		"in the healthy part":        {"throttled-late", at(late-24, "kind: deployment, text: v2, entity: {service: catalog}"), []string{throttled}},
		"before the window":          {"throttled-late", at(late-60, "kind: deployment, text: v2, entity: {service: catalog}"), []string{throttled}},
		"after it":                   {"throttled-late", at(late+11, "kind: deployment, text: v2, entity: {service: catalog}"), []string{throttled}},
		"in a run that is well":      {"healthy", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			bundle, dir := filepath.Join(recorded, c.run, "run.culprit"), t.TempDir()
			if c.events == "" {
				c.events = at(int(windowOf(t, bundle).Start.Unix())+30, "kind: deployment, text: v2, entity: {service: catalog}")
			}
			if o := culprit(t, "analyze", bundle, "--events", write(t, "events", c.events), "-o", dir, "--format", "json"); o.code != exitOK {
				t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
			}
			var got []string
			causes := readReport(t, dir).Causes
			for _, cause := range causes {
				got = append(got, cause.Rule)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("causes %q, want %q", got, c.want)
			}
			if len(c.want) == 2 && !slices.Equal(causes[0].Explains, []int{2}) {
				t.Errorf("it explains %v", causes[0].Explains)
			}
		})
	}
}

func windowOf(t *testing.T, bundle string) evidence.Window {
	t.Helper()
	dir := t.TempDir()
	if o := culprit(t, "analyze", bundle, "-o", dir, "--format", "json"); o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	return readReport(t, dir).Window
}

// Grafana's annotations are events of the report, read with the token of the
// environment or the configuration, which is shown nowhere; one that refuses is
// a gap beside what the other sources gave.
func TestAnnotationsOfARun(t *testing.T) {
	const token = "glsa_of_the_test"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, `{"message":"Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `[{"time":%d,"text":"v2","tags":["deploy","service:cart"]}]`, time.Now().UnixMilli())
	}))
	defer s.Close()
	run := func(args ...string) (*report.Report, string) {
		dir := t.TempDir()
		o := culprit(t, append([]string{"run", "--load", write(t, "s.json", k6Summary), "--settle", "0", "-o", dir}, append(args, "--", "sleep", "0.2")...)...)
		if o.code != exitOK {
			t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
		}
		return readReport(t, dir), o.stdout + o.stderr
	}
	config := write(t, "c.yaml", "grafana:\n  url: "+s.URL+"\n  authorization: {credentials_file: "+write(t, "token", token)+"}\n")
	fromFile, said := run("--config", config)
	refused, saidRefused := run("--grafana", s.URL)
	t.Setenv(grafanaToken, token)
	fromEnvironment, saidEnvironment := run("--grafana", s.URL)
	for _, r := range []*report.Report{fromFile, fromEnvironment} {
		if len(r.Events) != 1 || r.Events[0].Kind != "deployment" || r.Events[0].Entity.Service != "cart" {
			t.Errorf("events %+v, coverage %+v", r.Events, r.Coverage)
		}
	}
	if len(refused.Events) != 0 || !strings.Contains(fmt.Sprintf("%+v", refused.Coverage), "service account's token") {
		t.Errorf("refused: %+v", refused.Coverage)
	}
	if strings.Contains(said+saidRefused+saidEnvironment+fmt.Sprintf("%+v%+v", fromFile, fromEnvironment), token) {
		t.Error("the token is shown")
	}
}
