package prometheus

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// TestLive prints what is found on a server of the user's.
func TestLive(t *testing.T) {
	url := os.Getenv("CULPRIT_PROMETHEUS_URL")
	if url == "" {
		t.Skip("set CULPRIT_PROMETHEUS_URL")
	}
	c, err := New(Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	b, err := c.Collect(context.Background(), evidence.Window{Start: now.Add(-90 * time.Second), End: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", b.Sources)
	for _, g := range b.Gaps {
		t.Logf("gap %+v", g)
	}
	for _, h := range b.Histograms {
		v, lo, hi := h.Quantile(.95, 0, 1<<62)
		t.Logf("%s %s %d times %d bounds p95 %g [%g %g] %v", h.Kind, h.Entity, len(h.Times), len(h.Bounds), v, lo, hi, h.Labels)
	}
	for _, s := range b.Series {
		t.Logf("%s %q %d times last %g %s over %g: %s", s.Kind, s.Entity, len(s.Times), s.Values[len(s.Values)-1], s.Unit, s.Over, s.Query)
	}
}
