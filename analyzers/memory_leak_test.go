package analyzers

import (
	"math"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// course is memory over an hour, a point every ten seconds, in MiB.
func course(at func(second float64) float64) (times []int64, values []float64) {
	for s := 0; s < 3600; s += 10 {
		times, values = append(times, int64(s)*1000), append(values, at(float64(s))*(1<<20))
	}
	return times, values
}

func TestGuardsOfTheLeak(t *testing.T) {
	for _, tt := range []struct {
		name  string
		at    func(s float64) float64
		leaks bool
	}{
		{"straight growth", func(s float64) float64 { return 100 + s/20 }, true},
		{"growth with a saw tooth of the collector", func(s float64) float64 { return 100 + s/20 + 15*math.Mod(s, 60)/60 }, true},
		{"warm-up, then level", func(s float64) float64 { return 100 + 200*(1-math.Exp(-s/300)) }, false},
		{"grew and stopped in the last quarter", func(s float64) float64 { return 100 + math.Min(s, 2500)/20 }, false},
		{"level with noise", func(s float64) float64 { return 300 + 40*math.Sin(s/7) }, false},
		{"shrinks", func(s float64) float64 { return 400 - s/20 }, false},
		{"grows by less than a twentieth of the limit", func(s float64) float64 { return 100 + s/200 }, false},
		{"restarted every ten minutes", func(s float64) float64 { return 100 + math.Mod(s, 600) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, ok := growthOf(course(tt.at))
			if got := ok && g.leaks(1<<30, true); got != tt.leaks {
				t.Errorf("leaks %v: slope %.0f By/s, last quarter %.0f By/s, %.0f MiB to %.0f MiB", got, g.slope, g.tail, g.from/(1<<20), g.to/(1<<20))
			}
		})
	}
}

func TestALeakWithoutALimitMustBeLarge(t *testing.T) {
	small, _ := growthOf(course(func(s float64) float64 { return 100 + s/80 }))
	large, _ := growthOf(course(func(s float64) float64 { return 100 + s/40 }))
	if small.leaks(0, false) || !large.leaks(0, false) {
		t.Errorf("36 MiB leak %v, 72 MiB leak %v; the bar is 50 MiB", small.leaks(0, false), large.leaks(0, false))
	}
}

func TestALeakSaysWhenItsLimitIsReached(t *testing.T) {
	box := evidence.Entity{Service: "api", Resource: "box"}
	memory := evidence.Series{Kind: evidence.MemoryUsage, Entity: box, Query: "memory"}
	for s := range 60 {
		memory.Times, memory.Values = append(memory.Times, int64(s)*1000), append(memory.Values, float64(400+2*s)*(1<<20))
	}
	b := minute(&evidence.Bundle{Series: []evidence.Series{memory, steady(evidence.MemoryLimit, box, 1118*(1<<20))}})
	f := found(t, Run(b), FindLeakLimit)
	if f == nil || math.Abs(f.Value-300.0/3600) > 1e-6 { // 600 MiB at 2 MiB a second
		t.Fatalf("finding %+v", f)
	}
}
