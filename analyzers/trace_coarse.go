package analyzers

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// coarseStep is how coarse the clock of starts may be. OpenTelemetry for
// JavaScript takes the start of a span from Date.now(), whole milliseconds, and
// its duration from a finer clock: calls of half a millisecond that were made
// one after the other then seem to run side by side.
const coarseStep = int64(time.Millisecond)

const (
	// coarseSpans of a host that all start at whole milliseconds do not by chance.
	coarseSpans = 20
	// coarseBehind bounds how many of the spans before it one is held against.
	coarseBehind = 8
)

// refineStarts puts the spans of hosts with such a clock where they may have
// begun: within the millisecond that is known, not before their parent, and
// after the calls that can have ended by then. A span is never put later than
// it was where its siblings followed each other, and by less than a
// millisecond where they did not.
func refineStarts(traces []*Trace) {
	coarse := coarseHosts(traces)
	if len(coarse) == 0 {
		return
	}
	for _, t := range traces {
		t.refine(coarse)
	}
}

func isWhole(at int64) bool { return at%coarseStep == 0 }

// coarseHosts are those whose spans all start, but do not end, at whole
// milliseconds. Few do, and their first other span tells, so that most traces
// are read without looking up whose each span is.
func coarseHosts(traces []*Trace) map[string]bool {
	whole, fine := map[string]int{}, map[string]int{} // spans, and those of them that end at a fine time
	for s := range spansWhere(traces, true) {
		host := hostOf(s)
		whole[host]++
		if !isWhole(s.End) {
			fine[host]++
		}
	}
	maps.DeleteFunc(whole, func(host string, n int) bool { return n < coarseSpans || 2*fine[host] <= n })
	for s := range spansWhere(traces, false) {
		if len(whole) == 0 {
			break
		}
		delete(whole, hostOf(s))
	}
	out := map[string]bool{}
	for host := range whole {
		out[host] = true
	}
	return out
}

// spansWhere yields the spans that start at whole milliseconds, or the others.
func spansWhere(traces []*Trace, whole bool) iter.Seq[*evidence.Span] {
	return func(yield func(*evidence.Span) bool) {
		for _, t := range traces {
			for i := range t.Spans {
				if s := &t.Spans[i]; isWhole(s.Start) == whole && !yield(s) {
					return
				}
			}
		}
	}
}

// refining is a trace while its spans are put right.
type refining struct {
	*Trace
	hosts []string // of its spans; "" where the clock is fine
	was   []int64  // starts as recorded
	moved map[int32]bool
}

func (t *Trace) refine(coarse map[string]bool) {
	r := &refining{Trace: t, hosts: make([]string, len(t.Spans)), was: make([]int64, len(t.Spans)), moved: map[int32]bool{}}
	for i := range t.Spans {
		r.was[i] = t.Spans[i].Start
		if host := hostOf(&t.Spans[i]); coarse[host] {
			r.hosts[i] = host
		}
	}
	t.own()
	for range 2 { // a parent that makes room for its children moves the first of them
		r.down()
		r.up()
	}
	r.down()
	if len(r.moved) > 0 {
		t.index()
		t.repaired(len(r.moved), "timed in whole milliseconds, put after what they can only have followed", "")
	}
}

// down lets every span begin after its parent did and the calls before it
// ended. Of those within one millisecond the longest comes last: at most one of
// them can have lasted beyond it.
func (r *refining) down() {
	var kids []int32
	for _, p := range r.order {
		kids = append(kids[:0], r.children(p)...)
		slices.SortStableFunc(kids, func(a, b int32) int {
			return cmp.Or(cmp.Compare(r.was[a], r.was[b]), cmp.Compare(r.Spans[a].Duration(), r.Spans[b].Duration()))
		})
		for k, c := range kids {
			r.notBefore(c, p, r.Spans[p].Start)
			for _, before := range kids[max(0, k-coarseBehind):k] {
				r.notBefore(c, before, r.Spans[before].End)
			}
		}
	}
}

// up lets every span last until the calls that it made have ended.
func (r *refining) up() {
	for k := len(r.order) - 1; k >= 0; k-- {
		c := r.order[k]
		if p := r.Parent[c]; p >= 0 && r.blocks(c) {
			r.notBefore(p, c, r.Spans[c].End-r.Spans[p].Duration())
		}
	}
}

// notBefore moves a span to a time that another of its host asks for, if it can
// have begun there.
func (r *refining) notBefore(i, other int32, at int64) {
	s := &r.Spans[i]
	if r.hosts[i] == "" || r.hosts[i] != r.hosts[other] || at <= s.Start || at >= r.was[i]+coarseStep {
		return
	}
	s.End += at - s.Start
	s.Start = at
	r.moved[i] = true
}
