package analyzers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// loadOf draws a run of several operations, 40 requests/s each for a minute,
// log-normal and with drift from second to second; scale stretches an
// operation's times. The seed is fixed.
func loadOf(seed uint64, operations int, scale map[int]float64) *evidence.Bundle {
	random := rand.New(rand.NewPCG(seed, 1))
	start := time.Unix(1_700_000_000, 0).UTC()
	b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)}}
	for op := range operations {
		h := evidence.Histogram{Kind: evidence.ServerLatency, Unit: "s", Over: 5, Bounds: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5},
			Entity: evidence.Entity{Service: "a", Operation: fmt.Sprintf("GET /%02d", op)}}
		stretch := scale[op]
		if stretch == 0 {
			stretch = 1
		}
		for second := 0; second < 60; second += 5 {
			row := make([]float64, len(h.Bounds)+1)
			drift := math.Exp(0.03 * random.NormFloat64())
			for range 200 {
				v := 0.03 * stretch * drift * math.Exp(0.5*random.NormFloat64())
				k := 0
				for k < len(h.Bounds) && v > h.Bounds[k] {
					k++
				}
				row[k] += 1.0 / 5
			}
			h.Times, h.Rates = append(h.Times, start.Add(time.Duration(second)*time.Second).UnixMilli()), append(h.Rates, row)
		}
		b.Histograms = append(b.Histograms, h)
	}
	return b
}

// Repeats of the same load: nothing is worse or better, in pairs of forty
// operations each.
func TestRepeatsAreTheSame(t *testing.T) {
	for seed := range uint64(10) {
		for _, c := range Compare(loadOf(seed, 20, nil), loadOf(seed+100, 20, nil)) {
			if c.Verdict != Same {
				t.Errorf("seed %d: %s is %s: ratio %.3f (%.3f to %.3f), p %.5f", seed, c.Entity, c.Verdict, c.Ratio, c.Low, c.High, c.P)
			}
		}
	}
}

// A fifth more on one operation of twenty is found in nine of ten where nine
// repeats tell how runs differ, and no other is accused.
func TestPlantedRegressionIsFound(t *testing.T) {
	found := 0
	var repeats []*evidence.Bundle
	for seed := range uint64(9) {
		repeats = append(repeats, loadOf(201+seed, 20, nil))
	}
	for seed := range uint64(10) {
		for _, c := range Compare(loadOf(seed, 20, nil), loadOf(seed+100, 20, map[int]float64{7: 1.2}), repeats...) {
			switch {
			case c.Entity.Operation == "GET /07" && c.Verdict == Worse:
				found++
			case c.Entity.Operation != "GET /07" && c.Verdict != Same:
				t.Errorf("seed %d: %s is %s", seed, c.Entity, c.Verdict)
			}
		}
	}
	if found < 9 {
		t.Errorf("found in %d of 10", found)
	}
}

func TestCompareVerdicts(t *testing.T) {
	base, head := loadOf(1, 4, nil), loadOf(2, 4, map[int]float64{0: 2, 1: 0.5})
	base.Histograms = base.Histograms[:3]
	head.Histograms = append(head.Histograms[:2:2], head.Histograms[3])
	got := ""
	for _, c := range Compare(base, head) {
		got += string(c.Verdict) + " "
	}
	if got != "worse better gone new " {
		t.Error(got)
	}
	if again := fmt.Sprint(Compare(base, head)[0].Low); again != fmt.Sprint(Compare(base, head)[0].Low) {
		t.Error("two comparisons differ")
	}
	for i := range head.Histograms { // other buckets altogether
		head.Histograms[i].Bounds = []float64{0.006, 0.011, 0.026, 0.051, 0.11, 0.26, 0.51, 1.1, 2.6}
	}
	if c := Compare(base, head)[0]; c.Verdict != Unknown || c.Reason == "" {
		t.Errorf("%+v", c)
	}
}

// Spans are compared as histograms are, each with its trace's weight.
func TestCompareSpans(t *testing.T) {
	run := func(seconds float64) *evidence.Bundle {
		start := time.Unix(1_700_000_000, 0).UTC()
		b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)}}
		for i := range 600 {
			from := start.Add(time.Duration(i) * 100 * time.Millisecond).UnixNano()
			length := seconds * (1 + float64(i%10)/10)
			id := evidence.TraceID{byte(i >> 8), byte(i), 1}
			b.Spans = append(b.Spans, evidence.Span{Trace: id, ID: evidence.SpanID{1}, Service: "a", Name: "GET /x", Kind: evidence.KindServer, Start: from, End: from + int64(length*1e9)})
		}
		return b
	}
	if c := Compare(run(0.1), run(0.13), run(0.1), run(0.1), run(0.1))[0]; c.Verdict != Worse || c.Ratio < 1.25 || c.Ratio > 1.35 {
		t.Errorf("%+v", c)
	}
	if c := Compare(run(0.1), run(0.1))[0]; c.Verdict != Same {
		t.Errorf("%+v", c)
	}
}

func TestCompareSymptoms(t *testing.T) {
	s := func(p95, low, high float64) []Symptom {
		return []Symptom{{Entity: evidence.Entity{Service: "a", Operation: "x"}, Requests: 100, P95: p95, P95Low: low, P95High: high}}
	}
	for name, c := range map[string]struct {
		base, head []Symptom
		want       ChangeVerdict
	}{
		"neighbours":  {s(0.2, 0.1, 0.25), s(0.4, 0.25, 0.5), Same},
		"apart":       {s(0.2, 0.1, 0.25), s(0.8, 0.5, 1), Worse},
		"apart, down": {s(0.8, 0.5, 1), s(0.2, 0.1, 0.25), Better},
		"no bounds":   {s(0.2, 0.2, 0.2), s(0.8, 0.8, 0.8), Unknown},
	} {
		if got := CompareSymptoms(c.base, c.head)[0].Verdict; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What repeats of the base differ by is no change; what lies beyond is. Without
// repeats only a change far beyond what runs usually differ by is told.
func TestRepeatsTellTheNoise(t *testing.T) {
	base, steady, unsteady := loadOf(1, 3, nil), loadOf(2, 3, nil), loadOf(2, 3, map[int]float64{0: 1.5})
	head := loadOf(3, 3, map[int]float64{0: 1.4, 1: 1.4})
	verdicts := func(repeats ...*evidence.Bundle) (out string) {
		for _, c := range Compare(base, head, repeats...) {
			out += string(c.Verdict) + " "
		}
		return out
	}
	if got := verdicts(); got != "same same same " {
		t.Errorf("without repeats: %s", got)
	}
	if got := verdicts(steady, loadOf(4, 3, nil), loadOf(5, 3, nil)); got != "worse worse same " {
		t.Errorf("with repeats alike: %s", got)
	}
	if got := verdicts(unsteady, loadOf(4, 3, nil), loadOf(5, 3, nil)); got != "same worse same " {
		t.Errorf("with a repeat that differs: %s", got)
	}
}

// Where everything moved together the machine may have, and nothing is called
// worse; one operation that moved farther than all others still is.
func TestMovedTogether(t *testing.T) {
	all := map[int]float64{}
	for op := range 12 {
		all[op] = 1.5
	}
	repeats := []*evidence.Bundle{loadOf(11, 12, nil), loadOf(12, 12, nil), loadOf(13, 12, nil), loadOf(14, 12, nil)}
	for _, c := range Compare(loadOf(1, 12, nil), loadOf(2, 12, all), repeats...) {
		if c.Verdict != Unknown || c.Reason == "" {
			t.Errorf("%s is %s %s", c.Entity, c.Verdict, c.Reason)
		}
	}
	for op := range 3 {
		all[op] = 1.1
	}
	all[5] = 6
	for i, c := range Compare(loadOf(1, 12, nil), loadOf(2, 12, all), repeats...) {
		if (c.Verdict == Worse) != (i == 5) {
			t.Errorf("%s is %s", c.Entity, c.Verdict)
		}
	}
}
