package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// none marks the absence of a span where an index into Trace.Spans stands.
const none = int32(-1)

// maxTraceSpans bounds one trace. Spans beyond it, the latest to start, are
// left off and counted in Repairs.
const maxTraceSpans = 1 << 20

// Trace is one request as its spans tell it, cleaned up. Spans refer to each
// other by index. It is read-only once built and safe for concurrent readers.
type Trace struct {
	ID     evidence.TraceID
	Spans  []evidence.Span // by start; shared with the bundle unless a repair had to change one
	Parent []int32         // index of the parent, -1 for none
	Root   int32           // of the part that counts as the request
	Weight float64         // requests this trace speaks for
	// Repairs says in words what was wrong and what was done about it.
	Repairs []string

	repairs []repair
	first   []int32 // children of i are kids[first[i]:first[i+1]], by start
	kids    []int32
	order   []int32 // every span after its parent
	server  []int32 // nearest enclosing entry of the span's own service, itself included
	owned   bool    // Spans is a private copy

	ordinal int32           // among the traces that were built together
	asks    evidence.Entity // of the root
	held    []int64         // by span: ns on the critical path, with what is below
	entries []entry         // where requests enter services, parents first
	entered []int32         // by span: which of the entries it serves
	called  []call          // every call, by start
	groups  []callGroup     // the calls by request and callee
	lookups []lookup        // reads of caches
}

// entry is a span at which a request enters a service, with what it asks for:
// the same for all traces that were built together.
type entry struct {
	span   int32
	entity *evidence.Entity
}

// BuildTraces groups the bundle's spans by trace, in the order of trace ids,
// and repairs what collection and clocks did to them: repeated and shared
// span ids, orphans, several roots, cycles, unfinished spans, starts cut to the
// millisecond, and clocks of different hosts that disagree. Nothing is repaired in silence.
func BuildTraces(b *evidence.Bundle) []*Trace {
	spans := b.Spans
	if !evidence.SpansSorted(spans) {
		spans = evidence.SortedSpans(spans)
	}
	weights := make(map[evidence.TraceID]float64, len(b.Weights))
	for _, w := range b.Weights {
		weights[w.Trace] = w.Weight
	}
	var traces []*Trace
	for lo := 0; lo < len(spans); {
		hi := lo + 1
		for hi < len(spans) && spans[hi].Trace == spans[lo].Trace {
			hi++
		}
		t := newTrace(spans[lo:hi:hi])
		if w := weights[t.ID]; w > 0 {
			t.Weight = w
		}
		traces = append(traces, t)
		lo = hi
	}
	refineStarts(traces)
	alignClocks(traces)
	scratch := traceScratch{callees: map[callee]*callee{}, entities: map[evidence.Entity]*evidence.Entity{}, sorts: map[spanSort]sorted{}}
	for i, t := range traces {
		t.ordinal, t.asks = int32(i), t.entity(t.Root)
		t.held = scratch.holdUps(t)
		scratch.findEntries(t)
		t.called = scratch.findCalls(t)
		t.groups = scratch.groupCalls(t)
		t.lookups = scratch.findLookups(t)
	}
	return traces
}

// traceScratch is memory that one trace after the other uses while it is
// built.
type traceScratch struct {
	walk     pathWalk
	inside   []bool
	calls    []call
	callees  map[callee]*callee // of all traces
	entities map[evidence.Entity]*evidence.Entity
	sorts    map[spanSort]sorted
	groups   map[requestCallee]int32
}

func newTrace(spans []evidence.Span) *Trace {
	t := &Trace{ID: spans[0].Trace, Spans: spans, Weight: 1}
	if over := len(spans) - maxTraceSpans; over > 0 {
		t.Spans = spans[:maxTraceSpans:maxTraceSpans]
		t.repaired(over, "beyond the bound of a trace, left off", "")
	}
	t.resolveParents()
	t.breakCycles()
	t.index()
	t.closeUnfinished()
	t.chooseRoot()
	t.findServers()
	return t
}

// repair is one sort of thing that was wrong with a trace.
type repair struct {
	what  string
	spans int
}

func (r repair) String() string {
	if r.spans == 1 {
		return "1 span " + r.what
	}
	return fmt.Sprintf("%d spans %s", r.spans, r.what)
}

// repaired notes a repair; detail is said of this trace alone.
func (t *Trace) repaired(n int, what, detail string) {
	if n > 0 {
		r := repair{what, n}
		t.repairs = append(t.repairs, r)
		t.Repairs = append(t.Repairs, r.String()+detail)
	}
}

// RepairsOf sums up the repairs of many traces, the most frequent first:
// "in 3 of 200 traces: 5 spans recorded twice, one of each dropped".
func RepairsOf(traces []*Trace) []string {
	spans, in := map[string]int{}, map[string]int{}
	var whats []string
	for _, t := range traces {
		for _, r := range t.repairs {
			if in[r.what] == 0 {
				whats = append(whats, r.what)
			}
			spans[r.what] += r.spans
			in[r.what]++
		}
	}
	slices.SortFunc(whats, func(a, b string) int { return cmp.Or(cmp.Compare(in[b], in[a]), cmp.Compare(a, b)) })
	out := make([]string, len(whats))
	for i, what := range whats {
		out[i] = fmt.Sprintf("in %d of %d traces: %s", in[what], len(traces), repair{what, spans[what]})
	}
	return out
}

// mostNotes bounds the repairs that are told, the most frequent first.
const mostNotes = 6

func repairNotes(traces []*Trace) []string {
	all := RepairsOf(traces)
	notes := make([]string, 0, mostNotes)
	for _, repair := range all[:min(mostNotes, len(all))] {
		notes = append(notes, "traces repaired "+repair)
	}
	return notes
}

// own makes Spans a private copy before the first change: the bundle is not
// ours to alter.
func (t *Trace) own() {
	if !t.owned {
		t.Spans, t.owned = slices.Clone(t.Spans), true
	}
}

// index lists the children of every span by start, and an order in which
// every span follows its parent. Parent must be free of cycles.
func (t *Trace) index() {
	n := len(t.Spans)
	t.first = make([]int32, n+1)
	for _, p := range t.Parent {
		if p >= 0 {
			t.first[p+1]++
		}
	}
	for i := range n {
		t.first[i+1] += t.first[i]
	}
	t.kids = make([]int32, t.first[n])
	fill := slices.Clone(t.first[:n])
	t.order = make([]int32, 0, n)
	for i, p := range t.Parent {
		if p < 0 {
			t.order = append(t.order, int32(i))
			continue
		}
		t.kids[fill[p]] = int32(i)
		fill[p]++
	}
	for at := 0; at < len(t.order); at++ {
		kids := t.children(t.order[at])
		if !slices.IsSortedFunc(kids, t.compareStart) {
			slices.SortStableFunc(kids, t.compareStart)
		}
		t.order = append(t.order, kids...)
	}
}

func (t *Trace) compareStart(a, b int32) int {
	switch x, y := t.Spans[a].Start, t.Spans[b].Start; {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return int(a - b)
}

// children of a span, by start.
func (t *Trace) children(i int32) []int32 { return t.kids[t.first[i]:t.first[i+1]] }

// blocks reports whether the parent of i waits for it. It does not for what
// follows from it, nor for a message it sent.
func (t *Trace) blocks(i int32) bool {
	s := &t.Spans[i]
	if s.Follows {
		return false
	}
	p := t.Parent[i]
	return s.Kind != evidence.KindConsumer || p < 0 || t.Spans[p].Kind != evidence.KindProducer
}

// chooseRoot takes the longest span without a parent, preferring one that
// never had a parent over one whose parent is missing. Other parts of the
// trace stay as they are: unreachable from the root, each with its own top.
func (t *Trace) chooseRoot() {
	t.Root = none
	tops := 0
	for i := range t.Spans {
		if t.Parent[i] >= 0 {
			continue
		}
		if t.Spans[i].Parent.IsZero() {
			tops++
		}
		if t.Root < 0 || t.betterRoot(int32(i)) {
			t.Root = int32(i)
		}
	}
	t.repaired(tops-1, "without a parent beside the root, kept apart", "")
}

func (t *Trace) betterRoot(i int32) bool {
	s, best := &t.Spans[i], &t.Spans[t.Root]
	if s.Parent.IsZero() != best.Parent.IsZero() {
		return s.Parent.IsZero()
	}
	return s.Duration() > best.Duration()
}

// findServers notes for every span where its request entered its service:
// the nearest SERVER or CONSUMER span above it, or the first span of the
// service where there is none.
func (t *Trace) findServers() {
	t.server = make([]int32, len(t.Spans))
	for _, i := range t.order {
		s, p := &t.Spans[i], t.Parent[i]
		if p < 0 || s.Kind == evidence.KindServer || s.Kind == evidence.KindConsumer || s.Service != t.Spans[p].Service && !t.standsIn(i) {
			t.server[i] = i
			continue
		}
		t.server[i] = t.server[p]
	}
}

// standsIn reports whether the caller recorded a span in the name of what it
// calls, as tracers do that give a database or a cache a service of its own:
// a CLIENT span is never where a request enters a service, unless it is all
// that the one who answers a call recorded.
func (t *Trace) standsIn(i int32) bool {
	p := t.Parent[i]
	return p >= 0 && calls(&t.Spans[i]) && !calls(&t.Spans[p]) && t.Spans[i].Service != t.Spans[p].Service
}

func calls(s *evidence.Span) bool {
	return s.Kind == evidence.KindClient || s.Kind == evidence.KindProducer
}

func (scratch *traceScratch) findEntries(t *Trace) {
	n := 0
	for i, server := range t.server {
		if server == int32(i) {
			n++
		}
	}
	t.entries, t.entered = make([]entry, 0, n), make([]int32, len(t.Spans))
	for _, i := range t.order {
		if t.server[i] != i {
			t.entered[i] = t.entered[t.server[i]]
			continue
		}
		t.entered[i] = int32(len(t.entries))
		t.entries = append(t.entries, entry{i, scratch.theEntity(t.entity(i))})
	}
}

// theEntity is as theCallee.
func (scratch *traceScratch) theEntity(e evidence.Entity) *evidence.Entity {
	known := scratch.entities[e]
	if known == nil {
		known = &e
		scratch.entities[e] = known
	}
	return known
}

// place is what a span's service was asked for when it did the span's work.
func (t *Trace) place(span int32) *evidence.Entity { return t.entries[t.entered[span]].entity }

// entity of a span: its service and operation.
func (t *Trace) entity(i int32) evidence.Entity {
	return evidence.Entity{Service: t.Spans[i].Service, Operation: OperationOf(&t.Spans[i])}
}

// Entity of the root: the service and operation that were asked for.
func (t *Trace) Entity() evidence.Entity { return t.asks }

// requests lists the spans that are one request of the target each: entries
// into the service with that operation.
func (t *Trace) requests(target evidence.Entity) []int32 {
	if t.asks == target {
		return []int32{t.Root}
	}
	var found []int32
	for k := range t.entries {
		if *t.entries[k].entity == target {
			found = append(found, t.entries[k].span)
		}
	}
	return found
}

// OperationOf names what a span serves: "GET /orders/{id}" where the span's
// name or its attributes have method and route, else the span's name.
func OperationOf(s *evidence.Span) string {
	if method, path, ok := strings.Cut(s.Name, " "); ok && isMethod(method) && strings.HasPrefix(path, "/") {
		return s.Name
	}
	method, route := s.Attr(evidence.AttrHTTPMethod), s.Attr(evidence.AttrHTTPRoute)
	if method != "" && route != "" {
		return method + " " + route
	}
	return s.Name
}

func isMethod(s string) bool {
	switch s {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY":
		return true
	}
	return false
}
