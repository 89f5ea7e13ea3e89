package analyzers

import (
	"cmp"
	"slices"
)

// Segment is a stretch of time during which one span alone held up its
// request, in Unix ns, half open.
type Segment struct {
	Span       int32
	Start, End int64
}

// CriticalPath says for every nanosecond of the root span which span the
// request was waiting for. The segments are in time order, contiguous, and
// their lengths sum to the root's duration exactly. A span that no parent
// waits for is never on it.
//
// The path is walked backwards from the end: a span was last held up by its
// last child to finish; before that child began, by the last to finish before
// then; in between it worked by itself. This is the last-returning-child rule
// of Jaeger's critical path and of CRISP (Zhang et al., ATC 2022), without
// recursion and without counting an overlap twice.
func (t *Trace) CriticalPath() []Segment { return t.PathOf(t.Root) }

// PathOf is the critical path of one span and what is below it.
func (t *Trace) PathOf(span int32) []Segment {
	w := pathWalk{t: t}
	w.walk(span)
	slices.Reverse(w.segments)
	return w.segments
}

// holdUps measures for every span how long it held up its request, with all
// that is below it, in ns. A request that nobody waited for counts by itself;
// what a service does beside its request holds up nobody.
func (scratch *traceScratch) holdUps(t *Trace) []int64 {
	held := make([]int64, len(t.Spans))
	w := &scratch.walk
	w.t = t
	for _, i := range t.order {
		if t.Parent[i] >= 0 && (t.blocks(i) || t.server[i] != i) {
			continue
		}
		w.walk(i)
		for _, g := range w.segments {
			held[g.Span] += g.End - g.Start
		}
	}
	for _, i := range slices.Backward(t.order) {
		if p := t.Parent[i]; p >= 0 && t.blocks(i) {
			held[p] += held[i]
		}
	}
	return held
}

// onPath is the time that some spans, none within another, held up their
// request, in ns.
func (t *Trace) onPath(spans []int32) int64 {
	var sum int64
	for _, i := range spans {
		sum += t.held[i]
	}
	return sum
}

// pathWalk is the state of a walk. Candidates of the spans on the stack lie
// behind each other in one slice, so that leaving a span frees its own.
type pathWalk struct {
	t          *Trace
	stack      []pathFrame
	candidates []candidate
	segments   []Segment // latest first
}

// pathFrame is a span being walked: [lo, cur) is still to be explained.
type pathFrame struct {
	span    int32
	next    int // into candidates
	base    int // where its candidates begin
	lo, cur int64
}

// candidate is a child a span may have waited for, clipped to its parent.
type candidate struct {
	span   int32
	lo, hi int64
}

// compareEnd puts the last to finish first; among equals the last to start,
// which is the one that cannot have waited for the other.
func compareEnd(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.hi, a.hi), cmp.Compare(b.lo, a.lo), cmp.Compare(a.span, b.span))
}

// walk leaves in segments the path of a span, latest first.
func (w *pathWalk) walk(span int32) {
	w.segments = w.segments[:0]
	w.enter(span, w.t.Spans[span].Start, w.t.Spans[span].End)
	for len(w.stack) > 0 {
		w.step()
	}
}

func (w *pathWalk) enter(span int32, lo, hi int64) {
	base := len(w.candidates)
	for _, c := range slices.Backward(w.t.children(span)) {
		s := &w.t.Spans[c]
		clo, chi := max(s.Start, lo), min(s.End, hi)
		if clo < chi && w.t.blocks(c) {
			w.candidates = append(w.candidates, candidate{c, clo, chi})
		}
	}
	slices.SortFunc(w.candidates[base:], compareEnd)
	w.stack = append(w.stack, pathFrame{span: span, next: base, base: base, lo: lo, cur: hi})
}

func (w *pathWalk) step() {
	f := &w.stack[len(w.stack)-1]
	if f.next == len(w.candidates) || f.cur <= f.lo {
		w.emit(f.span, f.lo, f.cur)
		w.candidates = w.candidates[:f.base]
		w.stack = w.stack[:len(w.stack)-1]
		return
	}
	c := w.candidates[f.next]
	f.next++
	if c.lo >= f.cur || c.hi > f.cur+clockRounding {
		return // ran beside the sibling that was taken: nobody waited for it
	}
	hi := min(c.hi, f.cur)
	w.emit(f.span, hi, f.cur)
	f.cur = c.lo
	w.enter(c.span, c.lo, hi)
}

func (w *pathWalk) emit(span int32, lo, hi int64) {
	if lo < hi {
		w.segments = append(w.segments, Segment{span, lo, hi})
	}
}
