package main

import (
	"path/filepath"
	"testing"
	"time"
)

// A result file that says when its run was gives the window: what the tools
// wrote, each in its own way.
func TestWindowOfLoad(t *testing.T) {
	for _, name := range []string{"k6-points.csv", "k6-points.influx", "k6-points.json.gz", "jmeter-2.13.csv.jtl", "jmeter-2.13.xml.jtl", "locust_stats.csv", "locust_stats_history.csv"} {
		dir := t.TempDir()
		o := culprit(t, "analyze", "--load", filepath.Join(root(t), "collectors", "loadtest", "testdata", name), "--format", "json", "-o", dir)
		if o.code != exitOK {
			t.Errorf("%s: exit code %d: %s", name, o.code, o.stderr)
			continue
		}
		w := readReport(t, dir).Window
		if d := w.End.Sub(w.Start); d < time.Second || d > 10*time.Minute || w.Start.Year() < 2026 || w.Start.Nanosecond() != 0 {
			t.Errorf("%s: %v", name, w)
		}
	}
}
