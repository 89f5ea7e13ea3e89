package analyzers

import (
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Where a scrape is further from the next than a thirtieth of the window, no
// bin lies between two of them and looks as if nothing had been served.
func TestNoBinIsShorterThanAScrape(t *testing.T) {
	for name, every := range map[string]int64{"15 s": 15_000, "1 s": 1000} {
		h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: evidence.Entity{Service: "shop", Operation: "GET /a"}, Over: float64(every) / 1000, Bounds: []float64{0.1, 0.2}}
		for at := int64(0); at < 120_000; at += every {
			h.Times, h.Rates = append(h.Times, at), append(h.Rates, []float64{5, 5, 0})
		}
		b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(120_000)}, Histograms: []evidence.Histogram{h}}
		s := symptomOfHistogram(b, &b.Histograms[0])
		if want := max(every, 4000); s.Step != want {
			t.Errorf("%s: a bin has %d ms, want %d", name, s.Step, want)
		}
		for i, rate := range s.Rates {
			if rate < 9.9 || rate > 10.1 || s.P95s[i] == 0 {
				t.Errorf("%s: bin %d has %.1f requests/s and a p95 of %g s", name, i, rate, s.P95s[i])
			}
		}
	}
}
