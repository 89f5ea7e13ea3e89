package analyzers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// From noRefusals on the refused share of the calls counts, at allRefusals it
// counts full, as it does where metrics tell of it.
const noRefusals, allRefusals = 0.005, 0.1

// refusals are the calls to one service, and those of them it refused as too
// many, weighted.
type refusals struct {
	calls, refused float64
	traces         []*Trace // with a refused call
	weight         float64  // of those
}

// reportTracedRefusals tells of limiters that no metric counts, by the calls
// that were answered 429.
func (p *Pass) reportTracedRefusals() {
	limiters, total := map[evidence.Entity]*refusals{}, 0.0
	for _, t := range p.Facts.Traces {
		total += t.Weight
		for _, c := range t.called {
			if t.refused(c) {
				limiterOf(limiters, t.askedBy(c)).refuse(t)
			}
		}
	}
	if len(limiters) == 0 { // as nearly always
		return
	}
	for _, t := range p.Facts.Traces {
		for _, c := range t.called {
			if r := limiters[t.askedBy(c)]; r != nil {
				r.calls += t.Weight
			}
		}
	}
	for _, e := range slices.SortedFunc(maps.Keys(limiters), evidence.Entity.Compare) {
		if r := limiters[e]; len(r.traces) >= fewestTraces && e != (evidence.Entity{}) {
			p.reportRefuser(e, r, total)
		}
	}
}

func limiterOf(all map[evidence.Entity]*refusals, e evidence.Entity) *refusals {
	if all[e] == nil {
		all[e] = &refusals{}
	}
	return all[e]
}

// askedBy a call: the service that answered, or the address where none did.
func (t *Trace) askedBy(c call) evidence.Entity {
	if a := t.answer(c.span); a >= 0 {
		return evidence.Entity{Service: t.Spans[a].Service}
	}
	return evidence.Entity{Resource: c.to.peer}
}

func (r *refusals) refuse(t *Trace) {
	r.refused += t.Weight
	if n := len(r.traces); n == 0 || r.traces[n-1] != t {
		r.traces = append(r.traces, t)
		r.weight += t.Weight
	}
}

// refused: a call was answered 429, as its caller or who answered has it.
func (t *Trace) refused(c call) bool {
	const tooMany = "429"
	if c.to.system != "http" {
		return false
	}
	a := t.answer(c.span)
	return t.Spans[c.span].Attr(evidence.AttrHTTPStatus) == tooMany || a >= 0 && t.Spans[a].Attr(evidence.AttrHTTPStatus) == tooMany
}

func (p *Pass) reportRefuser(e evidence.Entity, r *refusals, total float64) {
	share := r.refused / r.calls
	strength := clamp01((share - noRefusals) / (allRefusals - noRefusals))
	if strength == 0 {
		return
	}
	name := cmp.Or(e.Service, e.Resource)
	f := Finding{Kind: FindRateLimit, Entity: e, Value: strength, Unit: "1", Refs: typicalSlow(r.traces, 3),
		Text:  fmt.Sprintf("%s refused %s of the calls in the traces as too many", name, percent(share)),
		Facts: map[string]string{"service": e.Service, "limiter": name}}
	f.Impact, f.Victims = p.predictWorst(r.traces, (*Trace).cutRefused)
	p.Report(f)
	p.Report(Finding{Kind: FindRefused, Entity: e, Value: share, Unit: "1", Text: percent(share) + " of the calls were refused as too many"})
	p.reportRefusedShare(e, r.weight/total)
}

// cutRefused takes out the calls that were refused, and what passed until the
// same was asked again.
func (t *Trace) cutRefused() Cuts {
	c := t.NewCuts()
	pauses := map[int32]int64{}
	for k, made := range t.called {
		if !t.refused(made) {
			continue
		}
		t.CutSubtree(c, made.span)
		up := t.Parent[made.span]
		again := slices.ContainsFunc(t.called[k+1:], func(o call) bool { return o.to == made.to && t.Parent[o.span] == up })
		if again && up >= 0 {
			pauses[up] += t.pauseAfter(up, made.span)
		}
	}
	for up, ns := range pauses {
		t.CutSelf(c, up, ns)
	}
	return c
}
