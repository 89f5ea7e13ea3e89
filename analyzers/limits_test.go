package analyzers

import (
	"math"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// loaded is a run of a minute under a rate, and a pool of 10 connections that
// were in use as told.
func loaded(rate, used func(second int) float64) *evidence.Bundle {
	start := time.Unix(1_700_000_000, 0)
	b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)}}
	pool := evidence.Entity{Service: "front", Resource: "db"}
	for _, s := range []struct {
		kind evidence.Kind
		e    evidence.Entity
		at   func(int) float64
	}{{evidence.LoadSent, evidence.Entity{}, rate}, {evidence.PoolUsed, pool, used}, {evidence.PoolMax, pool, func(int) float64 { return 10 }}} {
		series := evidence.Series{Kind: s.kind, Entity: s.e, Query: "q"}
		for i := range 60 {
			series.Times, series.Values = append(series.Times, start.UnixMilli()+int64(i)*1000), append(series.Values, s.at(i))
		}
		b.Series = append(b.Series, series)
	}
	b.Sort()
	return b
}

func TestLimits(t *testing.T) {
	ramp := func(s int) float64 { return 10 + float64(s) } // up to 69 requests/s
	wobble := func(s int) float64 { return 0.2 * math.Sin(float64(7*s)) }
	t.Run("foreseen", func(t *testing.T) {
		l := limitsOf(&Pass{Bundle: loaded(ramp, func(s int) float64 { return 0.1*ramp(s) + wobble(s) }), Facts: &Facts{}})
		if len(l) != 1 || math.Abs(l[0].Rate-100) > 3 || l[0].Low > 100 || l[0].High < 100 || l[0].Reached != 0 || math.Abs(l[0].Peak-0.69) > 0.05 {
			t.Errorf("%+v, want a pool full at 100 requests/s", l)
		}
	})
	t.Run("reached", func(t *testing.T) {
		l := limitsOf(&Pass{Bundle: loaded(ramp, func(s int) float64 { return min(10, 0.2*ramp(s)+wobble(s)) }), Facts: &Facts{}})
		if len(l) != 1 || math.Abs(l[0].Rate-50) > 2 || l[0].Reached == 0 {
			t.Errorf("%+v, want a pool full at 50 requests/s, and reached", l)
		}
	})
	for name, b := range map[string]*evidence.Bundle{
		"the load was even":             loaded(func(int) float64 { return 50 }, func(s int) float64 { return 5 + wobble(s) }),
		"use does not follow the load":  loaded(ramp, func(s int) float64 { return 5 + 20*wobble(s) }),
		"use falls as the load rises":   loaded(ramp, func(s int) float64 { return 9 - 0.1*ramp(s) }),
		"too far away to be a forecast": loaded(ramp, func(s int) float64 { return 0.0001 * ramp(s) }),
	} {
		t.Run(name, func(t *testing.T) {
			if l := limitsOf(&Pass{Bundle: b, Facts: &Facts{}}); len(l) > 0 {
				t.Errorf("%+v, want no limit", l)
			}
		})
	}
}
