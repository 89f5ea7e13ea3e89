package analyzers

import (
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// without says what taking the mechanism out leaves of a trace. Where the gain
// is an upper bound, the request without the call, a call that takes as long
// when its requests are not slow is not what makes them slow: then only what
// it takes beyond that goes.
func (d *detector) without(p *Pass, g *occurrences, asked evidence.Entity) func(*Trace) Cuts {
	if d.warning == "" {
		return g.cut
	}
	usual := g.usual(p.Facts.Symptom(asked.Service, asked.Operation))
	if usual == 0 {
		return g.cut
	}
	return func(t *Trace) Cuts {
		k, ok := slices.BinarySearchFunc(g.traces, t, compareTraces)
		if !ok {
			return nil
		}
		c := t.NewCuts()
		for _, f := range g.found[k] {
			for _, i := range f.spans {
				t.CutSelf(c, i, t.Spans[i].Duration()-usual)
			}
		}
		return c
	}
}

// usual is the median of the calls, in ns, in requests at times when the
// operation was as fast as its baseline; 0 where it has none or where either
// these or the slow requests are too few to tell.
func (g *occurrences) usual(s *Symptom) int64 {
	if s == nil || !s.Slow || s.BaselineP95 == 0 {
		return 0
	}
	times := slowTimesOf([]Symptom{*s})[""]
	var usual []float64
	slow := 0
	for k, t := range g.traces {
		for _, f := range g.found[k] {
			for _, i := range f.spans {
				if times.at(t.Spans[t.Root].Start / 1e6) {
					slow++
				} else {
					usual = append(usual, float64(t.Spans[i].Duration()))
				}
			}
		}
	}
	if len(usual) < minStatements || slow < minStatements {
		return 0
	}
	return int64(quantile(usual, 0.5))
}
