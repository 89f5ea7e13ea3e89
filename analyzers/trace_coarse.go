package analyzers

import (
	"cmp"
	"slices"
	"time"
)

const (
	// coarseStart is the grain in which some SDKs tell when a span began, while
	// they measure finely how long it took: OpenTelemetry's for JavaScript takes
	// the start from Date.now and the length from performance.now.
	coarseStart = int64(time.Millisecond)
	// fewestStarts that must all be whole milliseconds: of starts in
	// microseconds, one in a thousand is.
	fewestStarts = 20
	// mostPending bounds how many earlier siblings a span is held against.
	mostPending = 16
)

// refineStarts moves apart what only seems to overlap because its start was cut
// to the millisecond: calls made one after the other within a few milliseconds
// would otherwise be taken to run at once, and most of them for nothing that
// the request waited for. No span is moved by a millisecond or more; what still
// overlaps then did run at once.
func refineStarts(traces []*Trace) {
	coarse := coarseServices(traces)
	if len(coarse) == 0 {
		return
	}
	for _, t := range traces {
		t.refineStarts(coarse)
	}
}

// coarseServices are those whose spans all start at whole milliseconds while
// most of them end between two.
func coarseServices(traces []*Trace) map[string]bool {
	type account struct{ starts, fine, odd int }
	by := map[string]*account{}
	for _, t := range traces {
		for i := range t.Spans {
			s := &t.Spans[i]
			a := by[s.Service]
			if a == nil {
				a = &account{}
				by[s.Service] = a
			}
			a.starts++
			if s.Start%coarseStart != 0 {
				a.fine++
			}
			if s.End%coarseStart != 0 {
				a.odd++
			}
		}
	}
	coarse := map[string]bool{}
	for service, a := range by {
		if a.starts >= fewestStarts && a.fine == 0 && 2*a.odd > a.starts {
			coarse[service] = true
		}
	}
	return coarse
}

func (t *Trace) refineStarts(coarse map[string]bool) {
	begun := make([]int64, len(t.Spans))
	for i := range t.Spans {
		begun[i] = t.Spans[i].Start
	}
	moved := 0
	var kids []int32
	for _, p := range t.order {
		kids = append(kids[:0], t.children(p)...)
		moved += t.refineSiblings(kids, begun[p], begun, coarse)
	}
	if moved == 0 {
		return
	}
	t.own()
	for i, at := range begun {
		s := &t.Spans[i]
		s.Start, s.End = at, s.End+at-s.Start
	}
	t.index()
	t.repaired(moved, "whose start was told in whole milliseconds, moved by less than one", "")
}

// refineSiblings lets each child begin where an earlier one ended, where that
// is within the millisecond that its start was cut to, and no child before its
// parent. Of those cut to the same one the longest comes last: at most one of
// them can have lasted beyond it.
func (t *Trace) refineSiblings(kids []int32, parent int64, begun []int64, coarse map[string]bool) (moved int) {
	length := func(i int32) int64 { return t.Spans[i].Duration() }
	slices.SortStableFunc(kids, func(a, b int32) int {
		return cmp.Or(cmp.Compare(t.Spans[a].Start, t.Spans[b].Start), cmp.Compare(length(a), length(b)))
	})
	pending := append(make([]int64, 0, mostPending+1), parent)
	for _, k := range kids {
		s := &t.Spans[k]
		if !coarse[s.Service] {
			continue
		}
		for _, end := range pending {
			if end > begun[k] && end < s.Start+coarseStart {
				begun[k] = end
			}
		}
		if begun[k] > s.Start {
			moved++
		}
		pending = slices.DeleteFunc(pending, func(end int64) bool { return end <= s.Start })
		if pending = append(pending, begun[k]+length(k)); len(pending) > mostPending {
			pending = slices.Delete(pending, 0, 1)
		}
	}
	return moved
}
