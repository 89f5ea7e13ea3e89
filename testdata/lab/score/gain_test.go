package score

import (
	"math"
	"testing"
)

func TestGainHoldsThePromiseAgainstTheMeasuredP95(t *testing.T) {
	r := Report{Causes: []Cause{{Rank: 1}, {Rank: 2, Impact: &Impact{Operation: "GET /orders", Now: 0.1, Then: 0.012, Low: 0.08, High: 0.095}}}}
	healthy := func(operation string) float64 { return map[string]float64{"GET /orders": 0.01}[operation] }
	g := GainOf(Verdict{Rank: 2}, r, healthy)
	if g == nil || math.Abs(g.Off()-0.2) > 1e-9 || math.Abs(g.SavingOff()-0.002/0.09) > 1e-9 || !g.Inside() {
		t.Fatalf("gain is %+v", g)
	}
	g.High = 0.085
	if g.Inside() {
		t.Error("90 ms lie within 80 to 85 ms")
	}
	for name, rank := range map[string]int{"not found": 0, "no impact": 1} {
		if g := GainOf(Verdict{Rank: rank}, r, healthy); g != nil {
			t.Errorf("%s: gain is %+v", name, g)
		}
	}
	if g := GainOf(Verdict{Rank: 2}, r, func(string) float64 { return 0 }); g != nil {
		t.Errorf("without a healthy run the gain is %+v", g)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := Median(test.of); got != test.want {
			t.Errorf("median of %v is %g", test.of, got)
		}
	}
}
