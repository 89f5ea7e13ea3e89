package analyzers

import (
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// resolveParents turns parent ids into indexes. Repeated spans are dropped
// first; where one id is shared by several spans (Zipkin gives the server the
// client's id), the server goes under the client, and children go to the one
// of their own service.
func (t *Trace) resolveParents() {
	ids := t.dropRepeats()
	n := len(t.Spans)
	t.Parent = make([]int32, n)
	var orphans, shared, selves int
	for i := range n {
		s := &t.Spans[i]
		if c := ids.client(t, int32(i)); c >= 0 {
			t.Parent[i] = c
			shared++
			continue
		}
		t.Parent[i] = ids.parent(t, int32(i))
		if t.Parent[i] < 0 && !s.Parent.IsZero() && s.Parent != s.ID {
			orphans++
		}
		if s.Parent == s.ID && !s.ID.IsZero() {
			selves++
		}
	}
	t.repaired(selves, "named as their own parent, cut loose", "")
	t.repaired(shared, "with the id of their client, put under it", "")
	t.repaired(orphans, "with a parent that is missing, kept apart", "")
}

// spanIDs finds spans by id: the latest one first, then along next.
type spanIDs struct {
	last map[evidence.SpanID]int32
	next []int32
}

// dropRepeats indexes the spans by id and leaves out those that were recorded
// twice: same id, service, kind and start. The longest is kept, since the
// other is a report made before the span had ended.
func (t *Trace) dropRepeats() spanIDs {
	ids := spanIDs{last: make(map[evidence.SpanID]int32, len(t.Spans)), next: make([]int32, 0, len(t.Spans))}
	kept, repeats := t.Spans[:0:0], 0
	for i := range t.Spans {
		s := &t.Spans[i]
		at, known := ids.last[s.ID]
		if known && !s.ID.IsZero() && ids.repeats(t.Spans, kept, repeats, at, s) {
			if repeats == 0 {
				kept = append(make([]evidence.Span, 0, len(t.Spans)), t.Spans[:i]...)
			}
			repeats++
			continue
		}
		if !known {
			at = none
		}
		ids.last[s.ID] = int32(i - repeats)
		ids.next = append(ids.next, at)
		if repeats > 0 {
			kept = append(kept, *s)
		}
	}
	if repeats > 0 {
		t.Spans, t.owned = kept, true
		t.repaired(repeats, "recorded twice, one of each dropped", "")
	}
	return ids
}

func (ids *spanIDs) repeats(all, kept []evidence.Span, dropped int, at int32, s *evidence.Span) bool {
	if dropped > 0 {
		all = kept
	}
	for ; at >= 0; at = ids.next[at] {
		if o := &all[at]; o.Service == s.Service && o.Kind == s.Kind && o.Start == s.Start && o.Name == s.Name {
			return true
		}
	}
	return false
}

// client gives the caller's span where a server shares its id, or -1.
func (ids *spanIDs) client(t *Trace, i int32) int32 {
	s := &t.Spans[i]
	if s.ID.IsZero() || s.Kind != evidence.KindServer && s.Kind != evidence.KindConsumer {
		return none
	}
	for at := ids.last[s.ID]; at >= 0; at = ids.next[at] {
		if k := t.Spans[at].Kind; k == evidence.KindClient || k == evidence.KindProducer {
			return at
		}
	}
	return none
}

// parent picks among the spans that carry the parent's id: one of the same
// service, else the one that serves.
func (ids *spanIDs) parent(t *Trace, i int32) int32 {
	s := &t.Spans[i]
	at, known := ids.last[s.Parent]
	if !known || s.Parent.IsZero() {
		return none
	}
	best, bestRank := none, -1
	for ; at >= 0; at = ids.next[at] {
		if at == i || t.Spans[at].ID == s.ID {
			continue
		}
		rank := 0
		if t.Spans[at].Service == s.Service {
			rank += 2
		}
		if t.Spans[at].Kind == evidence.KindServer {
			rank++
		}
		if rank >= bestRank {
			best, bestRank = at, rank
		}
	}
	return best
}

// breakCycles cuts every ring of parents at its earliest span, so that each
// span has a top above it.
func (t *Trace) breakCycles() {
	const onWay, done = 1, 2
	state := make([]uint8, len(t.Spans))
	cut := 0
	for i := range t.Spans {
		at := int32(i)
		for at >= 0 && state[at] == 0 {
			state[at] = onWay
			at = t.Parent[at]
		}
		ring := at >= 0 && state[at] == onWay
		for j := int32(i); j >= 0 && state[j] == onWay; j = t.Parent[j] {
			state[j] = done
		}
		if ring {
			t.Parent[t.earliestOfRing(at)] = none
			cut++
		}
	}
	t.repaired(cut, "closing a ring of parents, cut at the earliest", "")
}

func (t *Trace) earliestOfRing(from int32) int32 {
	earliest := from
	for at := t.Parent[from]; at != from; at = t.Parent[at] {
		earliest = min(earliest, at) // spans are in order of start
	}
	return earliest
}

// closeUnfinished ends a span that ends before it starts (never ended, or a
// broken clock) with the last of the children it waited for.
func (t *Trace) closeUnfinished() {
	open := 0
	for _, i := range slices.Backward(t.order) {
		if t.Spans[i].End >= t.Spans[i].Start {
			continue
		}
		t.own()
		open++
		s := &t.Spans[i]
		s.End = s.Start
		for _, c := range t.children(i) {
			if t.blocks(c) {
				s.End = max(s.End, t.Spans[c].End)
			}
		}
	}
	t.repaired(open, "never ended, ended with the last child", "")
}
