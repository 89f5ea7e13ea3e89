package analyzers

import (
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// minuteAt is a minute at 10 requests/s whose p95 lies in the bucket that ends at
// seconds.
func minuteAt(start time.Time, seconds float64) *evidence.Bundle {
	h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: evidence.Entity{Service: "a", Operation: "GET /x"}, Unit: "s", Over: 5, Bounds: []float64{0.05, 0.1, 0.5, 1, 2, 4}}
	for i := range 12 {
		row := make([]float64, len(h.Bounds)+1)
		for k, bound := range h.Bounds {
			if bound == seconds {
				row[k] = 10
			}
		}
		h.Times = append(h.Times, start.UnixMilli()+int64(i)*5000)
		h.Rates = append(h.Rates, row)
	}
	return &evidence.Bundle{Version: "v", Window: evidence.Window{Start: start, End: start.Add(time.Minute)}, Histograms: []evidence.Histogram{h}}
}

func TestAgainstAnEarlierRun(t *testing.T) {
	then, now := time.Unix(1_700_000_000, 0).UTC(), time.Unix(1_700_100_000, 0).UTC()
	for name, c := range map[string]struct {
		before, after float64
		slow          bool
	}{
		"degraded":             {0.1, 1, true},
		"as it was":            {0.5, 0.5, false},
		"slow but as accepted": {4, 4, false},
		"faster":               {2, 0.5, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := minuteAt(now, c.after)
			b.BaselineRun = BaselineOf(minuteAt(then, c.before))
			f := factsOf(b)
			if len(f.Symptoms) != 1 || f.Symptoms[0].Slow != c.slow {
				t.Fatalf("symptoms %+v, want slow %v", f.Symptoms, c.slow)
			}
			s := f.Symptoms[0]
			if s.BaselineP95 != b.BaselineRun.Operations[0].P95 || !strings.Contains(s.BaselineNote, "2023-11-14 22:13:20") || c.slow && !strings.Contains(s.Why, "baseline run") {
				t.Errorf("baseline %g, %q, why %q", s.BaselineP95, s.BaselineNote, s.Why)
			}
		})
	}
}

// An operation that the earlier run did not have, or saw through another
// witness, is judged as without it.
func TestEarlierRunOfOthers(t *testing.T) {
	now := time.Unix(1_700_100_000, 0).UTC()
	for name, change := range map[string]func(*evidence.BaselineOp){
		"other operation": func(o *evidence.BaselineOp) { o.Entity.Operation = "GET /y" },
		"other source":    func(o *evidence.BaselineOp) { o.Source = "traces" },
	} {
		b := minuteAt(now, 4)
		b.BaselineRun = BaselineOf(minuteAt(now, 4))
		change(&b.BaselineRun.Operations[0])
		if s := factsOf(b).Symptoms[0]; !s.Slow || s.BaselineP95 != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
