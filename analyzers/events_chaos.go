package analyzers

import (
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// lostSteps is for how many steps of a series nothing may be seen before what
// it counted counts as ended: exporters drop the series of what is over.
const lostSteps = 3

// chaosOf reads experiments from how many are at work: each begins where the
// number rises, and ends where it falls below that again. One that is at work
// when the window opens began with it as far as anyone can tell.
func chaosOf(b *evidence.Bundle, s *evidence.Series) []evidence.Event {
	var out []evidence.Event
	var open []int // events that last, by rising level
	var levels []float64
	closeAbove := func(level float64, at int64) {
		for n := len(open); n > 0 && levels[n-1] > level; n = len(open) {
			out[open[n-1]].End = at
			open, levels = open[:n-1], levels[:n-1]
		}
	}
	step := usualStep(s.Times)
	level := 0.0
	for i, v := range s.Values {
		if i > 0 && s.Times[i]-s.Times[i-1] > lostSteps*step {
			closeAbove(0, s.Times[i-1]+step)
			level = 0
		}
		closeAbove(v, s.Times[i])
		if v > level {
			open, levels = append(open, len(out)), append(levels, v)
			out = append(out, evidence.Event{At: s.Times[i], Kind: eventChaos, Text: "chaos experiment " + s.Entity.Resource, Entity: s.Entity})
		}
		level = v
	}
	if n := len(s.Times); n > 0 && s.Times[n-1]+lostSteps*step <= b.Window.End.UnixMilli() {
		closeAbove(0, s.Times[n-1]+step)
	}
	at := injectionsOf(b, s.Entity)
	for i := range out {
		startWhenInjected(&out[i], at, step)
	}
	return out
}

// usualStep of a series, in ms.
func usualStep(times []int64) int64 {
	var steps []float64
	for i := 1; i < len(times); i++ {
		steps = append(steps, float64(times[i]-times[i-1]))
	}
	if len(steps) == 0 {
		return 0
	}
	return int64(quantile(steps, 0.5))
}

// startWhenInjected moves an experiment's beginning to when it first broke something,
// where its exporter says so: before that it only prepares.
func startWhenInjected(e *evidence.Event, injected []int64, step int64) {
	for _, at := range injected {
		if at >= e.At-step && (e.End == 0 || at < e.End) {
			e.At = at
			return
		}
	}
}

// injectionsOf an experiment, in Unix ms, rising.
func injectionsOf(b *evidence.Bundle, e evidence.Entity) []int64 {
	var out []int64
	for i := range b.Series {
		if s := &b.Series[i]; s.Kind == evidence.ChaosInjected && s.Entity == e {
			for _, v := range s.Values {
				out = append(out, int64(v*1000))
			}
		}
	}
	slices.Sort(out)
	return out
}
