package analyzers

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// predictWorst holds a mechanism's cuts against every root operation whose
// traces touch it and returns the prediction that saves most, with all the
// operations that it slows (by at least a twentieth of their p95), worst
// first. touches says which traces can be affected at all.
func (p *Pass) predictWorst(touches func(*Trace) bool, cut func(*Trace) Cuts) (*Impact, []evidence.Entity) {
	var all []*Impact
	for _, target := range rootOperations(p.Facts.Traces, touches) {
		if i := Predict(p.Facts.Traces, target, tracedTail, cut); i != nil {
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

// rootOperations lists the operations of the roots of matching traces, in the
// order of their names.
func rootOperations(traces []*Trace, match func(*Trace) bool) []evidence.Entity {
	seen := map[evidence.Entity]bool{}
	var out []evidence.Entity
	for _, t := range traces {
		e := t.Entity()
		if !seen[e] && match(t) {
			seen[e] = true
			out = append(out, e)
		}
	}
	slices.SortFunc(out, evidence.Entity.Compare)
	return out
}

// hasService reports whether any span belongs to a service.
func (t *Trace) hasService(service string) bool {
	return slices.ContainsFunc(t.Spans, func(s evidence.Span) bool { return s.Service == service })
}

// statementCuts shortens every span of a statement to a share of its
// duration.
func statementCuts(keys map[string]float64) func(*Trace) Cuts {
	return func(t *Trace) Cuts {
		c := t.NewCuts()
		for i := range t.Spans {
			if share, ok := keys[t.Spans[i].Attr(evidence.AttrDBKey)]; ok {
				t.CutSelf(c, int32(i), int64(float64(t.SelfTime(int32(i)))*share))
			}
		}
		return c
	}
}

// callers says which service and operation issue a statement, the busiest
// first by time: the service of the client span, the operation of the nearest
// server span above it.
func callers(traces []*Trace, key string) []evidence.Entity {
	time := map[evidence.Entity]int64{}
	for _, t := range traces {
		for i := range t.Spans {
			if t.Spans[i].Attr(evidence.AttrDBKey) == key && key != "" {
				time[t.entity(t.server[i])] += t.Spans[i].Duration()
			}
		}
	}
	out := make([]evidence.Entity, 0, len(time))
	for e := range time {
		out = append(out, e)
	}
	slices.SortFunc(out, func(x, y evidence.Entity) int { return cmp.Or(cmp.Compare(time[y], time[x]), x.Compare(y)) })
	return out
}

// roughImpact is what remains without traces: the slowest operation of a
// service, less a wait that metrics or the database know as a mean. The tail
// of a wait is longer than its mean, so that the interval reaches from
// nothing to the double.
func (p *Pass) roughImpact(service string, saved float64, method string) *Impact {
	var worst *Symptom
	for i := range p.Facts.Symptoms {
		s := &p.Facts.Symptoms[i]
		if (s.Entity.Service == service || service == "") && s.Requests >= minRequests && (worst == nil || s.P95 > worst.P95) {
			worst = s
		}
	}
	if worst == nil || saved <= 0 {
		return nil
	}
	saved = min(saved, worst.P95)
	return &Impact{Operation: worst.Entity, Percentile: tracedTail, Now: worst.P95, Then: worst.P95 - saved,
		Low: 0, High: min(2*saved, worst.P95), Method: method}
}

// orRough falls back to roughImpact where no trace could tell.
func (p *Pass) orRough(i *Impact, hurt []evidence.Entity, service string, saved float64, method string) (*Impact, []evidence.Entity) {
	if i != nil || len(p.Facts.Traces) > 0 {
		return i, hurt
	}
	if i = p.roughImpact(service, saved, method); i != nil {
		hurt = []evidence.Entity{i.Operation}
	}
	return i, hurt
}

// touched are the traces that match.
func touched(traces []*Trace, match func(*Trace) bool) []*Trace {
	var out []*Trace
	for _, t := range traces {
		if match(t) {
			out = append(out, t)
		}
	}
	return out
}
