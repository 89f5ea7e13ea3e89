package prometheus

import (
	"fmt"
	"math"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Custom bounds, a resolution that was lowered on the way, an overflow and a
// zero bucket: nothing observed is lost.
func TestFillNative(t *testing.T) {
	in := []nativeSample{
		{Time: 1, Count: 7, Sum: 9, Buckets: []nativeBucket{{Lower: -0.001, Upper: 0.001, Count: 1, Rule: 3}, {Lower: 1, Upper: 2, Count: 2}, {Lower: 2, Upper: 4, Count: 4}}},
		{Time: 2, Count: 8, Sum: 9, Buckets: []nativeBucket{{Lower: 1, Upper: 4, Count: 6}, {Lower: 4, Upper: math.Inf(1), Count: 2}}},
		{Time: 3, Count: math.NaN(), Sum: math.NaN()},
		{Time: 4, Count: 0, Sum: 0},
	}
	h := evidence.Histogram{}
	if !fillNative(&h, in, 1000) {
		t.Fatal("nothing")
	}
	if got := fmt.Sprint(h.Bounds, h.Times, h.Rates, h.Sum); got != "[1 1000 2000 4000] [1 2 4] [[1 0 2 4 0] [0 0 2 4 2] [0 0 0 0 0]] [9000 9000 0]" {
		t.Error(got)
	}
}

func TestFillNativeThins(t *testing.T) {
	s := nativeSample{Time: 1}
	for i := range 200 {
		s.Buckets = append(s.Buckets, nativeBucket{Lower: math.Pow(1.1, float64(i)), Upper: math.Pow(1.1, float64(i+1)), Count: 1})
	}
	h := evidence.Histogram{}
	if !fillNative(&h, []nativeSample{s}, 1) || len(h.Bounds) > maxNativeBounds {
		t.Fatalf("%d bounds", len(h.Bounds))
	}
	total := 0.0
	for _, c := range h.Rates[0] {
		total += c
	}
	if math.Abs(total-200) > 1e-9 {
		t.Errorf("%g of 200 observations are left", total)
	}
	if v, _, _ := evidence.QuantileOf(h.Bounds, h.Rates[0], 0.5); math.Abs(math.Log(v)/math.Log(1.1)-100) > 2 {
		t.Errorf("the median moved to %g", v)
	}
}
