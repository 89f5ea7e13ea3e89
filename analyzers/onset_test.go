package analyzers

import "testing"

func TestOnset(t *testing.T) {
	step := func(at, n int, low, high float64) (times []int64, values []float64) {
		for i := range n {
			v := low
			if i >= at {
				v = high
			}
			times, values = append(times, int64(i)*2000), append(values, v+float64(i%3)*0.01)
		}
		return times, values
	}
	for _, tt := range []struct {
		name      string
		at, n     int
		low, high float64
		want      int64 // -1: none
	}{
		{"a step up", 10, 30, 0.1, 0.9, 20_000},
		{"a step down is no onset", 10, 30, 0.9, 0.1, -1},
		{"flat", 30, 30, 0.5, 0.5, -1},
		{"one outlier at the end", 29, 30, 0.1, 0.2, -1},
		{"too short", 2, 5, 0, 1, -1},
	} {
		times, values := step(tt.at, tt.n, tt.low, tt.high)
		o := onsetOf(times, values, 0)
		if got := int64(-1); o != nil && o.At != tt.want || o == nil && got != tt.want {
			t.Errorf("%s: %+v, want %d", tt.name, o, tt.want)
		}
	}
}

// A queue that fills evenly has a best step, in its middle, and no onset there.
func TestARampHasNoOnset(t *testing.T) {
	var times []int64
	var values []float64
	for i := range 30 {
		times, values = append(times, int64(i)*2000), append(values, float64(i)+float64(i%3))
	}
	if o := onsetOf(times, values, 0); o != nil {
		t.Errorf("a ramp began at %d ms", o.At)
	}
}

func TestNoOrderBelowTwoIntervals(t *testing.T) {
	a, b := &Onset{At: 10_000, Tolerance: 2000}, &Onset{At: 14_000, Tolerance: 2000}
	if Late(b, a) != 0 {
		t.Error("two sample intervals were told apart")
	}
	if got := Late(&Onset{At: 20_000, Tolerance: 2000}, a); got != 10 {
		t.Errorf("late by %g s, want 10", got)
	}
	if Late(nil, a) != 0 || Late(a, nil) != 0 {
		t.Error("an unknown onset was judged late")
	}
}
