package traces

import (
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// draw takes the traces of one slice, whatever their duration.
func (s *search) draw(j job, traces []found) {
	t := j.target
	t.cut[j.slice] = len(traces) >= j.depth
	for _, tr := range traces {
		if ns, ok := tr.longest(t.service, t.name); ok {
			t.base = append(t.base, ns)
		}
		s.keep(t, tr)
	}
}

// drawSlow takes the traces of a level of the slow band. Some stores ignore a
// predicate: what is not slow is left.
func (s *search) drawSlow(j job, traces []found) {
	l := &j.target.levels[len(j.target.levels)-1]
	for _, tr := range traces {
		if ns, _ := tr.longest(j.target.service, j.target.name); ns >= l.threshold {
			l.answered = append(l.answered, ns)
			s.keep(j.target, tr)
		}
	}
	l.cut[j.slice] = len(traces) >= j.depth
}

func (s *search) keep(t *target, tr found) {
	if s.sample.keep(tr) {
		ns, _ := tr.longest(t.service, t.name)
		t.drawn = append(t.drawn, draw{tr.id, ns})
	}
}

// aim sets where the slow band begins, for those targets of which the first
// round could not see all.
func (s *search) aim() {
	for _, t := range s.targets {
		if len(t.base) < tailLeast || !slices.Contains(t.cut, true) {
			continue
		}
		slices.Sort(t.base)
		t.levels = []level{newLevel(t.base, len(t.cut))}
	}
}

// newLevel begins at the slowest tenth of some durations, which are sorted.
func newLevel(of []int64, slices int) level {
	return level{threshold: of[int(tailFrom*float64(len(of)))], cut: make([]bool, slices)}
}

// climb adds a level to the slow bands of which the last could not be seen
// whole, where what came of it tells of something slower still.
func (s *search) climb() {
	for _, t := range s.targets {
		if len(t.levels) == 0 {
			continue
		}
		last := t.levels[len(t.levels)-1]
		if len(last.answered) < tailLeast || !slices.Contains(last.cut, true) {
			continue
		}
		slices.Sort(last.answered)
		if next := newLevel(last.answered, len(t.cut)); next.threshold > last.threshold {
			t.levels = append(t.levels, next)
		}
	}
}

// slowFrom is where the slow band begins, in ns; 0 unknown.
func (t *target) slowFrom() int64 {
	if len(t.levels) == 0 {
		return 0
	}
	return t.levels[0].threshold
}

// levelOf a duration in ns: how many levels of the slow band it reaches.
func (t *target) levelOf(ns int64) int {
	n := 0
	for n < len(t.levels) && ns >= t.levels[n].threshold {
		n++
	}
	return n
}

// shares of the requests that reach each level of the slow band and no higher
// one, the rest first: of those drawn without regard to duration so many reach
// the first, and of those that came of each level so many reach the next.
func (t *target) shares() []float64 {
	reach := []float64{1}
	below := t.base
	for _, l := range t.levels {
		above := 0.0
		for _, ns := range below {
			if ns >= l.threshold {
				above++
			}
		}
		if len(below) > 0 {
			above /= float64(len(below))
		}
		reach, below = append(reach, reach[len(reach)-1]*above), l.answered
	}
	for k := range len(reach) - 1 {
		reach[k] -= reach[k+1]
	}
	return reach
}

// weights says how many requests each trace of a target speaks for, relative
// to the target's others (mean 1): the levels of the slow band were drawn more
// densely, and their true shares are those among the traces drawn below each.
func (t *target) weights() []evidence.TraceWeight {
	if len(t.levels) == 0 || len(t.base) == 0 || len(t.drawn) == 0 {
		return nil
	}
	drawn, shares, all := make([]float64, len(t.levels)+1), t.shares(), 0.0
	for _, d := range t.drawn {
		drawn[t.levelOf(d.duration)]++
	}
	for k, n := range drawn {
		if n > 0 {
			all += shares[k]
		}
	}
	if drawn[0] == 0 || drawn[0] == float64(len(t.drawn)) || all == 0 {
		return nil
	}
	var out []evidence.TraceWeight
	for _, d := range t.drawn {
		k := t.levelOf(d.duration)
		w := evidence.TraceWeight{Trace: d.trace, Weight: shares[k] / all * float64(len(t.drawn)) / drawn[k], Stratum: "base"}
		if k > 0 {
			w.Stratum = "tail"
		}
		out = append(out, w)
	}
	return out
}

// bundle is the account of the search.
func (s *search) bundle(w evidence.Window) *evidence.Bundle {
	b := &evidence.Bundle{Window: w, Spans: s.sample.spans}
	for _, t := range s.targets {
		b.Weights = append(b.Weights, t.weights()...)
	}
	src := evidence.Source{Name: "traces", Status: evidence.StatusOK, Target: redacted(s.cfg.URL), Protocol: s.store.Protocol(),
		Requests: s.meter.requests, Items: len(b.Spans)}
	src.Notes = append(s.notes, s.limits()...)
	src.Notes = append(src.Notes, s.builder.dropped()...)
	if s.stopped != nil || s.failed > 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, s.gap())
	}
	if n := s.builder.partial; n > 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, evidence.Gap{Source: "traces", Kinds: []evidence.Kind{evidence.Spans}, Reason: fmt.Sprintf("the store handed out %d traces in part only", n),
			Remedy: "what is missing of them cannot be blamed: raise the store's bound on the size of a trace (Tempo: max_bytes_per_trace)"})
	}
	if len(b.Spans) == 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, noTraces("the store has no traces in the window"))
	}
	b.Sources = []evidence.Source{src}
	return b
}

// limits tells which bounds bit and what the search cost.
func (s *search) limits() []string {
	var out []string
	cut := 0
	for _, t := range s.targets {
		if slices.Contains(t.cut, true) {
			cut++
		}
	}
	if cut > 0 {
		out = append(out, fmt.Sprintf("%d of %d root operations had more traces than were asked for: the sample is even over time, the slow tenth, and of it the slowest, is drawn more densely and weighted back", cut, len(s.targets)))
	}
	if s.exemplars > 0 {
		out = append(out, s.exemplarNote())
	}
	if s.sample.refused > 0 {
		out = append(out, fmt.Sprintf("%d traces found no room: the bounds are %d traces and %d spans", s.sample.refused, s.sample.maxTraces, s.sample.maxSpans))
	}
	if s.meter.backoffs > 0 {
		out = append(out, "the server asked for patience "+evidence.Counted(s.meter.backoffs, "time"))
	}
	return append(out, fmt.Sprintf("read %.1f MB in %s", float64(s.meter.bytes)/1e6, evidence.Counted(s.meter.requests, "request")))
}

func (s *search) gap() evidence.Gap {
	g := evidence.Gap{Source: "traces", Kinds: []evidence.Kind{evidence.Spans}}
	if s.stopped != nil {
		g.Reason = "the search " + s.stopped.Error()
		g.Remedy = "the traces that were read are used; for more, name the services of interest, shorten the window, or give the trace store more resources"
		return g
	}
	g.Reason = fmt.Sprintf("%d of %d requests failed, the first with: %v", s.failed, s.meter.requests, s.err)
	g.Remedy = "the traces that were read are used; for all of them, mend what the error names and collect again"
	return g
}

// dropped tells what could not be used.
func (b *builder) dropped() []string {
	b.Lock()
	defer b.Unlock()
	var out []string
	if b.untimed > 0 {
		out = append(out, fmt.Sprintf("%d spans without a start or an end were dropped", b.untimed))
	}
	if b.misnamed > 0 {
		out = append(out, fmt.Sprintf("%d spans without a usable id were dropped", b.misnamed))
	}
	return out
}
