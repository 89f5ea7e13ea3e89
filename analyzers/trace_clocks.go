package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// clockRounding is how far times may be off without meaning anything: several
// sources keep microseconds, rounded at both ends of a span.
const clockRounding = 2 * int64(time.Microsecond)

// leastOffset is the smallest disagreement worth a repair. Below it lie the
// servers that answer before their span has ended, on clocks that are right.
const leastOffset = int64(time.Millisecond)

// clockPair is a caller's host and a callee's.
type clockPair struct{ from, to string }

// clockBounds gathers what the calls between two hosts say about how far the
// callee's clock runs ahead. A call cannot be served before it was made nor
// after it was answered, so each confines the offset to
// [serverEnd-clientEnd, serverStart-clientStart], as in NTP.
type clockBounds struct {
	low, high int64
	middles   []int64
	violated  int // calls that cannot be, unless the clocks disagree
}

// offset of the callee's clock in ns, 0 where the calls leave no need for one.
// Where the bounds contradict each other (clocks that drift) it is the median
// of their middles, and only if most calls cannot be without it.
func (b *clockBounds) offset() int64 {
	switch {
	case b.violated == 0:
		return 0
	case b.low <= b.high && (b.low >= leastOffset || b.high <= -leastOffset):
		return b.low + (b.high-b.low)/2
	case b.low > b.high && 2*b.violated > len(b.middles):
		slices.Sort(b.middles)
		return b.middles[len(b.middles)/2]
	}
	return 0
}

// alignClocks shifts the spans of hosts whose clocks disagree with their
// callers', by one offset for each pair of hosts over all traces.
func alignClocks(traces []*Trace) {
	bounds := map[clockPair]*clockBounds{}
	for _, t := range traces {
		t.boundClocks(bounds)
	}
	offsets := map[clockPair]int64{}
	for pair, b := range bounds {
		if o := b.offset(); o != 0 {
			offsets[pair] = o
		}
	}
	if len(offsets) == 0 {
		return
	}
	for _, t := range traces {
		t.shiftClocks(offsets)
	}
}

// boundClocks reads the calls whose server span fits into the client's: one
// that is longer (the caller gave up) says nothing about clocks.
func (t *Trace) boundClocks(bounds map[clockPair]*clockBounds) {
	for i, p := range t.Parent {
		if p < 0 || t.Spans[i].Kind != evidence.KindServer || t.Spans[p].Kind != evidence.KindClient {
			continue
		}
		caller, callee := &t.Spans[p], &t.Spans[i]
		pair := clockPair{hostOf(caller), hostOf(callee)}
		if pair.from == pair.to || callee.Duration() > caller.Duration() {
			continue
		}
		low, high := callee.End-caller.End, callee.Start-caller.Start
		b := bounds[pair]
		if b == nil {
			b = &clockBounds{low: low, high: high}
			bounds[pair] = b
		}
		b.low, b.high = max(b.low, low), min(b.high, high)
		b.middles = append(b.middles, low+(high-low)/2)
		if low >= leastOffset || high <= -leastOffset {
			b.violated++
		}
	}
}

func (t *Trace) shiftClocks(offsets map[clockPair]int64) {
	shift := make([]int64, len(t.Spans))
	shifted, most := 0, int64(0)
	for _, i := range t.order {
		p := t.Parent[i]
		if p < 0 {
			continue
		}
		shift[i] = shift[p] - offsets[clockPair{hostOf(&t.Spans[p]), hostOf(&t.Spans[i])}]
		if shift[i] != 0 {
			shifted++
			most = max(most, shift[i], -shift[i])
		}
	}
	if shifted == 0 {
		return
	}
	t.own()
	for i, by := range shift {
		t.Spans[i].Start += by
		t.Spans[i].End += by
	}
	t.index()
	t.repaired(shifted, "timed by clocks that disagree, shifted", fmt.Sprintf(" by up to %v", time.Duration(most)))
}

// hostOf names the clock that timed a span, as closely as the span tells.
func hostOf(s *evidence.Span) string {
	return cmp.Or(s.Attr(evidence.AttrHost), s.Attr(evidence.AttrNode), s.Instance, s.Service)
}
