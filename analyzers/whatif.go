package analyzers

import (
	"iter"
	"math/bits"
	"slices"
)

// Cuts says how much of each span's own time would go if a mechanism were
// removed, in ns, in the order of Trace.Spans. A cut as long as the span
// removes it with everything below it.
type Cuts []int64

// NewCuts is a set of cuts that cuts nothing.
func (t *Trace) NewCuts() Cuts { return make(Cuts, len(t.Spans)) }

// CutSubtree removes a span with everything below it.
func (t *Trace) CutSubtree(c Cuts, span int32) { c[span] = t.Spans[span].Duration() }

// CutSelf takes ns off a span's own time, at most all of it.
func (t *Trace) CutSelf(c Cuts, span int32, ns int64) {
	c[span] = max(c[span], min(c[span]+max(ns, 0), t.SelfTime(span)))
}

// SelfTime is the time of a span during which none of the children it waits
// for was running, in ns.
func (t *Trace) SelfTime(span int32) int64 {
	sum := int64(0)
	for lo, hi := range t.selfTimes(span) {
		sum += hi - lo
	}
	return sum
}

// selfTimes yields the stretches of a span's self time, in order.
func (t *Trace) selfTimes(span int32) iter.Seq2[int64, int64] {
	return func(yield func(lo, hi int64) bool) {
		at, end := t.Spans[span].Start, t.Spans[span].End
		for _, c := range t.children(span) {
			s := &t.Spans[c]
			if s.Start >= end {
				break
			}
			if !t.blocks(c) {
				continue
			}
			if s.Start > at && !yield(at, s.Start) {
				return
			}
			at = max(at, s.End)
		}
		if at < end {
			yield(at, end)
		}
	}
}

// Retime gives the root's duration with the cuts taken, in ns. Without cuts
// that is its duration, exactly.
func (t *Trace) Retime(c Cuts) int64 { return new(retimer).trace(t, c)[t.Root] }

// trace gives every span's duration with the cuts taken. The next call
// overwrites it.
//
// Dependencies are inferred from the recorded order. Siblings whose times
// touch form a region. Between regions the parent works alone and everything
// before is joined: a region begins when all of the one before has ended.
// Within a region a child begins a fixed time after the sibling that ended
// last before it, or after the region began where none had: parallel chains
// stay parallel, and the longest of what is left decides. This is the
// happens-before of CRISP's retimer, made exact.
func (r *retimer) trace(t *Trace, c Cuts) []int64 {
	r.durations = slices.Grow(r.durations[:0], len(t.Spans))[:len(t.Spans)]
	out := r.durations
	for _, i := range slices.Backward(t.order) {
		d := t.Spans[i].Duration()
		switch {
		case c != nil && c[i] >= d:
			out[i] = 0
		case len(t.children(i)) == 0 && c != nil:
			out[i] = d - c[i]
		case len(t.children(i)) == 0:
			out[i] = d
		default:
			out[i] = r.span(t, i, c, out)
		}
	}
	return out
}

// retimer re-times the children of one span. was is in recorded time, now in
// the time that would be; both count from the span's start.
type retimer struct {
	region    event // where the current region began
	end       event // the latest end so far
	last      event // the sibling of this region that ended last
	running   []event
	keep      ratio
	durations []int64 // of the spans of the trace
}

// event is one instant in both times.
type event struct{ was, now int64 }

func (r *retimer) span(t *Trace, i int32, c Cuts, durations []int64) int64 {
	s := &t.Spans[i]
	*r = retimer{running: r.running[:0], durations: r.durations, keep: ratio{1, 1}}
	if c != nil && c[i] > 0 {
		self := t.SelfTime(i)
		r.keep = ratio{self - min(c[i], self), self}
	}
	for _, k := range t.children(i) {
		lo, hi := max(t.Spans[k].Start, s.Start), min(t.Spans[k].End, s.End)
		if lo < hi && t.blocks(k) {
			r.child(lo-s.Start, hi-s.Start, durations[k])
		}
	}
	return r.end.now + r.alone(s.Duration()-r.end.was)
}

// child places one child that was recorded at [lo, hi) and would now take
// duration, or less where its parent had not waited for its end.
func (r *retimer) child(lo, hi, duration int64) {
	begin := r.begin(lo)
	end := event{hi, begin + min(hi-lo, duration)}
	r.end = event{max(r.end.was, end.was), max(r.end.now, end.now)}
	r.push(end)
}

// begin says when a child that began at lo would begin now.
func (r *retimer) begin(lo int64) int64 {
	if gap := lo - r.end.was; gap >= -clockRounding {
		r.running = r.running[:0]
		r.region = event{lo, max(r.end.now+r.alone(gap), 0)}
		r.last = event{-1, 0}
		return r.region.now
	}
	for len(r.running) > 0 && r.running[0].was <= lo+clockRounding {
		if e := r.pop(); e.was > r.last.was || e.now > r.last.now {
			r.last = e
		}
	}
	after := r.region
	if r.last.was >= r.region.was {
		after = r.last
	}
	return max(after.now+lo-after.was, r.region.now)
}

// alone is what remains of a stretch of the span's own time.
func (r *retimer) alone(ns int64) int64 {
	if ns <= 0 {
		return ns
	}
	return r.keep.of(ns)
}

// push and pop keep running a heap by recorded end.
func (r *retimer) push(e event) {
	r.running = append(r.running, e)
	for i := len(r.running) - 1; i > 0; {
		up := (i - 1) / 2
		if r.running[up].was <= r.running[i].was {
			break
		}
		r.running[up], r.running[i] = r.running[i], r.running[up]
		i = up
	}
}

func (r *retimer) pop() event {
	h := r.running
	top, n := h[0], len(h)-1
	h[0] = h[n]
	r.running = h[:n]
	for i := 0; ; {
		least := 2*i + 1
		if least >= n {
			return top
		}
		if least+1 < n && h[least+1].was < h[least].was {
			least++
		}
		if h[i].was <= h[least].was {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// ratio is num/den of a whole, exact in integers.
type ratio struct{ num, den int64 }

// of rounds down, for ns >= 0 and num <= den.
func (r ratio) of(ns int64) int64 {
	if r.num == r.den || r.den == 0 {
		return ns
	}
	hi, lo := bits.Mul64(uint64(ns), uint64(r.num))
	q, _ := bits.Div64(hi, lo, uint64(r.den))
	return int64(q)
}

// Shorten brings a span with everything below it to a share of its length,
// each part alike.
func (t *Trace) Shorten(c Cuts, span int32, share float64) {
	todo := []int32{span}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], t.children(i)...)
		t.CutSelf(c, i, int64(float64(t.SelfTime(i))*(1-share)))
	}
}
