package analyzers

import (
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// without says what taking the mechanism out leaves of a trace. Where the gain
// is an upper bound, the request without the call, the bound is drawn tighter
// by what is known of the call: one that takes as long when its requests are
// not slow is not what makes them slow, so that only what it takes beyond that
// goes; and of a statement no more goes than the server itself spends on it.
func (d *detector) without(p *Pass, g *occurrences, asked evidence.Entity) func(*Trace) Cuts {
	if d.warning == "" {
		return g.cut
	}
	usual, own := g.usual(p.Facts.Symptom(asked.Service, asked.Operation)), p.ownTimes()
	return func(t *Trace) Cuts {
		k, ok := slices.BinarySearchFunc(g.traces, t, compareTraces)
		if !ok {
			return nil
		}
		c := t.NewCuts()
		for _, f := range g.found[k] {
			for _, i := range f.spans {
				most, known := own[t.Spans[i].Attr(evidence.AttrDBKey)]
				if usual == 0 && !known {
					t.CutSubtree(c, i)
					continue
				}
				spare := t.Spans[i].Duration() - usual
				if known {
					spare = min(spare, most)
				}
				t.CutSelf(c, i, spare)
			}
		}
		return c
	}
}

// deviations beyond the mean that are still laid to a statement itself: one
// call in ten at most takes longer (Cantelli's inequality), whatever their
// distribution.
const deviations = 3

// ownTimes is the longest that the server itself spends on each statement, by
// key, in ns, by its own account. What a call takes beyond that goes into
// waiting for a connection, on the network, or for a lock before it begins.
func (p *Pass) ownTimes() map[string]int64 {
	out := map[string]int64{}
	for i := range p.Bundle.Postgres {
		for key, s := range statementsOf(&p.Bundle.Postgres[i]) {
			out[key] = max(out[key], int64(1e9*s.server*(1+deviations*s.spread)))
		}
	}
	return out
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
