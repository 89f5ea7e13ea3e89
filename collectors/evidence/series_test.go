package evidence

import (
	"math"
	"testing"
)

func TestQuantileOf(t *testing.T) {
	bounds := []float64{0.1, 0.2, 0.4}
	for _, tt := range []struct {
		name          string
		counts        []float64
		q             float64
		value, lo, hi float64
	}{
		{"inside the first bucket", []float64{10, 0, 0, 0}, 0.5, 0.05, 0, 0.1},
		{"at a bound", []float64{50, 50, 0, 0}, 0.5, 0.1, 0, 0.1},
		{"linear inside", []float64{0, 0, 100, 0}, 0.25, 0.25, 0.2, 0.4},
		{"above the last bound means at least", []float64{1, 0, 0, 99}, 0.95, 0.4, 0.4, math.Inf(1)},
		{"nothing observed", []float64{0, 0, 0, 0}, 0.5, math.NaN(), math.NaN(), math.NaN()},
	} {
		v, lo, hi := QuantileOf(bounds, tt.counts, tt.q)
		if !same(v, tt.value) || !same(lo, tt.lo) || !same(hi, tt.hi) {
			t.Errorf("%s: %g [%g, %g], want %g [%g, %g]", tt.name, v, lo, hi, tt.value, tt.lo, tt.hi)
		}
	}
}

func same(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-12
}

func TestHistogramCountsWeighByTime(t *testing.T) {
	h := Histogram{Bounds: []float64{1}, Times: []int64{0, 2000, 4000}, Rates: [][]float64{{5, 0}, {5, 0}, {0, 10}}}
	got := h.Counts(0, 5000)
	if got[0] != 20 || got[1] != 20 {
		t.Errorf("counts %v, want 2 s x 5/s twice and 2 s x 10/s", got)
	}
}

func TestSortIsIndependentOfOrder(t *testing.T) {
	a := Series{Kind: CPUUsage, Entity: Entity{Service: "a"}}
	b := Series{Kind: CPUUsage, Entity: Entity{Service: "b"}, Labels: map[string]string{"x": "1"}}
	c := Series{Kind: CPUUsage, Entity: Entity{Service: "b"}, Labels: map[string]string{"x": "2"}}
	x, y := Bundle{Series: []Series{a, b, c}}, Bundle{Series: []Series{c, b, a}}
	x.Sort()
	y.Sort()
	for i := range x.Series {
		if x.Series[i].Entity != y.Series[i].Entity || x.Series[i].Labels["x"] != y.Series[i].Labels["x"] {
			t.Fatalf("series %d differs", i)
		}
	}
}

func TestParseIDs(t *testing.T) {
	id, err := ParseTraceID("AB")
	if err != nil || id.String() != "000000000000000000000000000000ab" {
		t.Errorf("short upper-case id: %s, %v", id, err)
	}
	for _, bad := range []string{"xyz", "0123456789abcdef0123456789abcdef00"} {
		if _, err := ParseTraceID(bad); err == nil {
			t.Errorf("%q was taken for a trace id", bad)
		}
	}
}
