package analyzers

import (
	"cmp"
	"maps"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// predictWorst holds a mechanism's cuts against every root operation of the
// traces that it touches and returns the prediction that saves most, with all
// the operations that it slows (by at least a twentieth of their p95), worst
// first.
func (p *Pass) predictWorst(touched []*Trace, cut func(*Trace) Cuts) (*Impact, []evidence.Entity) {
	var all []*Impact
	for _, target := range rootOperations(touched) {
		if i := p.Facts.predict(target, touched, cut); i != nil {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(x, y *Impact) int {
		return cmp.Or(cmp.Compare(y.Saved(), x.Saved()), x.Operation.Compare(y.Operation))
	})
	if len(all) == 0 {
		return nil, nil
	}
	return all[0], victims(all)
}

func victims(impacts []*Impact) []evidence.Entity {
	var out []evidence.Entity
	for _, i := range impacts {
		if i.Share() >= 0.05 {
			out = append(out, i.Operation)
		}
	}
	return out
}

// rootOperations lists the operations of the roots of traces, in the order of
// their names.
func rootOperations(traces []*Trace) []evidence.Entity {
	seen := map[evidence.Entity]bool{}
	var out []evidence.Entity
	for _, t := range traces {
		if !seen[t.asks] {
			seen[t.asks] = true
			out = append(out, t.asks)
		}
	}
	slices.SortFunc(out, evidence.Entity.Compare)
	return out
}

// statementCuts shortens the spans of some statements, by key, each to what
// is left of its own time after a share of it. It lists the traces it touches.
func (f *Facts) statementCuts(shares map[string]float64) (touched []*Trace, cut func(*Trace) Cuts) {
	keys := slices.Sorted(maps.Keys(shares))
	for _, k := range keys {
		touched = append(touched, f.statementSpans(k).traces...)
	}
	slices.SortFunc(touched, compareTraces)
	return slices.Compact(touched), func(t *Trace) Cuts {
		c := t.NewCuts()
		for _, k := range keys {
			for _, i := range f.statementSpans(k).of(t) {
				t.CutSelf(c, i, int64(float64(t.SelfTime(i))*shares[k]))
			}
		}
		return c
	}
}

// callers says which service and operation issue a statement, the busiest
// first by time: the service of the client span, the operation of the nearest
// server span above it.
func (f *Facts) callers(key string) []evidence.Entity {
	time := map[evidence.Entity]int64{}
	set := f.statementSpans(key)
	for k, t := range set.traces {
		for _, i := range set.at(k) {
			time[*t.place(i)] += t.Spans[i].Duration()
		}
	}
	out := slices.Collect(maps.Keys(time))
	slices.SortFunc(out, func(x, y evidence.Entity) int { return cmp.Or(cmp.Compare(time[y], time[x]), x.Compare(y)) })
	return out
}

// tracesWith are the traces of which any span matches, in their order.
func (f *Facts) tracesWith(match func(*evidence.Span) bool) []*Trace {
	return f.tracesWhere(func(t *Trace) bool {
		return slices.ContainsFunc(t.Spans, func(s evidence.Span) bool { return match(&s) })
	})
}

// tracesWhere are the traces that match, in their order.
func (f *Facts) tracesWhere(match func(*Trace) bool) []*Trace {
	var out []*Trace
	for _, t := range f.Traces {
		if match(t) {
			out = append(out, t)
		}
	}
	return out
}
