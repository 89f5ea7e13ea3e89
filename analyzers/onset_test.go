package analyzers

import (
	"math/rand/v2"
	"testing"
)

func ramp(n int, f func(i int) float64) (times []int64, values []float64) {
	for i := range n {
		times, values = append(times, int64(i)*1000), append(values, f(i))
	}
	return times, values
}

func TestOnset(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		n    int
		f    func(i int) float64
		want int64
		ok   bool
	}{
		"a step":              {30, func(i int) float64 { return float64(min(i/12, 1))*5 + 1 + 0.1*float64(i%3) }, 12_000, true},
		"a step from zero":    {20, func(i int) float64 { return float64(i / 10) }, 10_000, true},
		"flat":                {30, func(int) float64 { return 3 }, 0, false},
		"noise":               {60, func(int) float64 { return noise.Float64() }, 0, false},
		"a fall":              {30, func(i int) float64 { return 9 - float64(i/12) }, 0, false},
		"too short":           {6, func(i int) float64 { return float64(i / 3) }, 0, false},
		"a rise of a twelfth": {30, func(i int) float64 { return 12 + float64(i/15) }, 0, false},
	} {
		times, values := ramp(c.n, c.f)
		at, ok := Onset(times, values)
		if ok != c.ok || at != c.want {
			t.Errorf("%s: %d %v, want %d %v", name, at, ok, c.want, c.ok)
		}
	}
}
