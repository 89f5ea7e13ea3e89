package analyzers

import (
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// without says what taking the mechanism out leaves of a trace. Where the gain
// is an upper bound, the request without the call, the bound is drawn tighter
// by what is known of the call: one that takes as long when its requests are
// not slow is not what makes them slow, so that only what it takes beyond that
// goes; and of a statement no more goes than the server itself spends on it, or
// where nobody asked the server, than it takes beyond the way there and back.
func (d *detector) without(p *Pass, g *occurrences, asked evidence.Entity) func(*Trace) Cuts {
	if d.warning == nil || d.ownCut {
		return g.cut
	}
	usual, own, ways := g.usual(p.Facts.Symptom(asked.Service, asked.Operation)), p.ownTimes(), p.Facts.ways()
	return func(t *Trace) Cuts {
		k, ok := slices.BinarySearchFunc(g.traces, t, compareTraces)
		if !ok {
			return nil
		}
		c := t.NewCuts()
		for _, f := range g.found[k] {
			for _, i := range f.spans {
				most, known := own[t.Spans[i].Attr(evidence.AttrDBKey)]
				way := ways[t.Spans[i].Service]
				if usual == 0 && !known && (way == 0 || !isStatement(&t.Spans[i])) {
					t.CutSubtree(c, i)
					continue
				}
				spare := t.Spans[i].Duration() - usual
				switch {
				case known:
					spare = min(spare, most)
				case isStatement(&t.Spans[i]):
					spare -= way
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
	for key, s := range servedStatements(p.Bundle) {
		out[key] = int64(1e9 * (s.mean + deviations*s.stddev))
	}
	return out
}

// ways is what it takes to reach the database and come back, by service, in
// ns: the slowest twentieth of the statements that open a transaction, which
// do nothing there. A pooler's queue lies on the way, and no lock does.
func (f *Facts) ways() map[string]int64 {
	took := map[string][]float64{}
	for _, t := range f.Traces {
		for i := range t.Spans {
			if s := &t.Spans[i]; isBegin(s) {
				took[s.Service] = append(took[s.Service], float64(s.Duration()))
			}
		}
	}
	ways := map[string]int64{}
	for service, ns := range took {
		if len(ns) >= minStatements {
			ways[service] = int64(quantile(ns, 0.95))
		}
	}
	return ways
}

func isBegin(s *evidence.Span) bool {
	text := strings.ToLower(s.Attr(evidence.AttrDBQuery))
	return strings.HasPrefix(text, "begin") || strings.HasPrefix(text, "start transaction")
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
