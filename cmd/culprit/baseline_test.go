package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// recordedRun writes the evidence of a minute of load: requests/s per operation,
// all of whose answers fall into the bucket that ends at its seconds.
func recordedRun(t *testing.T, start time.Time, perSecond float64, operations map[string]float64) string {
	t.Helper()
	b := &evidence.Bundle{Version: "test", Window: evidence.Window{Start: start.UTC(), End: start.UTC().Add(time.Minute)},
		Sources: []evidence.Source{{Name: "prometheus", Status: evidence.StatusOK}}}
	for operation, seconds := range operations {
		h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: evidence.Entity{Service: "a", Operation: operation}, Unit: "s", Over: 5, Bounds: []float64{0.05, 0.1, 0.2, 0.5, 1, 2}}
		for i := range 12 {
			row := make([]float64, len(h.Bounds)+1)
			for k, bound := range h.Bounds {
				if bound == seconds {
					row[k] = perSecond
				}
			}
			h.Times, h.Rates = append(h.Times, start.UnixMilli()+int64(i)*5000), append(h.Rates, row)
		}
		b.Histograms = append(b.Histograms, h)
	}
	b.Sort()
	path := filepath.Join(t.TempDir(), bundleName)
	if err := bundle.WriteFile(path, b); err != nil {
		t.Fatal(err)
	}
	return path
}

// A run is judged against an earlier one that is named, and says so.
func TestBaselineRun(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	healthy := recordedRun(t, start, 10, map[string]float64{"GET /x": 0.1, "GET /slow": 2})
	run := recordedRun(t, start.Add(24*time.Hour), 10, map[string]float64{"GET /x": 0.5, "GET /slow": 2})
	dir := t.TempDir()
	if o := culprit(t, "analyze", run, "--baseline", healthy, "-o", dir); o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	r := readReport(t, dir)
	if r.Baseline == nil || !r.Baseline.Start.Equal(start) || !strings.Contains(r.Generator.Command, "--baseline") {
		t.Errorf("baseline %+v, command %q", r.Baseline, r.Generator.Command)
	}
	for _, s := range r.Symptoms {
		if want := s.Operation == "GET /x"; s.Slow != want || s.BaselineP95 == nil {
			t.Errorf("%s: slow %v, want %v; baseline %v", s.Operation, s.Slow, want, s.BaselineP95)
		}
	}
	md := culprit(t, "analyze", run, "--baseline", healthy)
	if !strings.Contains(md.stdout, "2023-11-14 22:13:20") {
		t.Errorf("the report does not state its baseline:\n%s", md.stdout)
	}
}

// A live run carries its baseline in its evidence: analyzed again without it,
// it gives the same bytes, until the baseline is taken away.
func TestBaselineTravelsWithTheRun(t *testing.T) {
	healthy := recordedRun(t, time.Unix(1_700_000_000, 0), 10, map[string]float64{"GET /x": 0.1})
	dir, again := t.TempDir(), t.TempDir()
	o := culprit(t, "run", "--load", write(t, "s.json", k6Summary), "--baseline", healthy, "--settle", "0", "-o", dir, "--", "true")
	if o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	file := filepath.Join(dir, bundleName)
	if o := culprit(t, "analyze", file, "-o", again); o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	sameFile(t, filepath.Join(dir, "report.json"), filepath.Join(again, "report.json"))
	if r := readReport(t, again); r.Baseline == nil {
		t.Error("no baseline in the report")
	}
	without := t.TempDir()
	if culprit(t, "analyze", file, "--baseline", "none", "-o", without); readReport(t, without).Baseline != nil {
		t.Error("--baseline none left one")
	}
}

func TestBaselineErrors(t *testing.T) {
	run := recordedRun(t, time.Unix(1_700_000_000, 0), 10, map[string]float64{"GET /x": 0.1})
	idle := recordedRun(t, time.Unix(1_700_000_000, 0), 0.1, map[string]float64{"GET /x": 0.1})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no such file":   {[]string{"analyze", run, "--baseline", "/no/such.culprit"}, "/no/such.culprit"},
		"not a bundle":   {[]string{"analyze", run, "--baseline", write(t, "x.json", "this is no evidence")}, "not a culprit bundle"},
		"no requests":    {[]string{"analyze", run, "--baseline", idle}, "no operation"},
		"neither":        {[]string{"analyze", run, "--baseline", "yesterday"}, "neither the evidence file"},
		"ahead of a run": {[]string{"run", "--load", run, "--baseline", "10/20", "--", "true"}, "lies ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			culprit(t, c.args...).wantError(t, exitUsage, c.want)
		})
	}
}
