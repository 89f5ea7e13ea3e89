package report

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Bounds of a trace that is drawn.
const (
	waterfallRows  = 40
	waterfallDepth = 12
	foldFrom       = 3 // repetitions that become one line
	foldPeriod     = 4 // longest sequence of calls that is looked for as repeated
)

// TraceSpan is one line of a waterfall: a span, or several equal ones in a
// row.
type TraceSpan struct {
	Service string  `json:"service" clean:"name"`
	Name    string  `json:"name" clean:"name"`
	Depth   int     `json:"depth"`
	Start   float64 `json:"start_s"`            // since the trace's start
	Seconds float64 `json:"seconds"`            // of several: their sum
	Extent  float64 `json:"extent_s,omitempty"` // of several: from the first's start to the last's end
	Error   bool    `json:"error,omitempty"`
	Times   int     `json:"times,omitempty"` // how many equal spans it stands for; 0 means 1
}

// draw fills in the lines of a trace that the bundle holds.
func (t *Trace) draw(b *evidence.Bundle) {
	id, err := evidence.ParseTraceID(t.ID)
	if err != nil {
		return
	}
	w := waterfall{children: map[evidence.SpanID][]*evidence.Span{}}
	for i := range b.Spans {
		if b.Spans[i].Trace == id {
			w.spans = append(w.spans, &b.Spans[i])
		}
	}
	if len(w.spans) == 0 {
		return
	}
	w.arrange()
	for _, root := range w.roots {
		w.add(root, 0)
	}
	t.Seconds = float64(w.end-w.start) / 1e9
	t.Spans = w.lines[:min(len(w.lines), waterfallRows)]
	t.LeftOut = len(w.spans)
	for _, l := range t.Spans {
		t.LeftOut -= max(l.Times, 1)
	}
}

// waterfall arranges the spans of one trace by who called whom.
type waterfall struct {
	spans      []*evidence.Span
	roots      []*evidence.Span
	children   map[evidence.SpanID][]*evidence.Span
	start, end int64
	lines      []TraceSpan
	seen       map[*evidence.Span]bool
}

// arrange finds the roots: spans whose parent is not there. A span that is its
// own ancestor has none and is left out.
func (w *waterfall) arrange() {
	slices.SortStableFunc(w.spans, func(a, b *evidence.Span) int { return evidence.CompareSpans(*a, *b) })
	ids := map[evidence.SpanID]bool{}
	for _, s := range w.spans {
		ids[s.ID] = true
	}
	w.start, w.end = w.spans[0].Start, w.spans[0].End
	for _, s := range w.spans {
		w.start, w.end = min(w.start, s.Start), max(w.end, s.End)
		if s.Parent.IsZero() || !ids[s.Parent] || s.Parent == s.ID {
			w.roots = append(w.roots, s)
			continue
		}
		w.children[s.Parent] = append(w.children[s.Parent], s)
	}
	w.seen = map[*evidence.Span]bool{}
}

// add writes a span and what it called, equal calls in a row as one line.
func (w *waterfall) add(s *evidence.Span, depth int) {
	if w.seen[s] {
		return
	}
	w.seen[s] = true
	w.lines = append(w.lines, w.line(s, []*evidence.Span{s}, depth))
	if depth == waterfallDepth {
		return
	}
	kids := w.children[s.ID]
	for len(kids) > 0 {
		period, times := w.repeated(kids)
		for i := range period {
			w.lines = append(w.lines, w.line(kids[i], every(kids[i:period*times], period), depth+1))
		}
		if times == 0 {
			w.add(kids[0], depth+1)
			period, times = 1, 1
		}
		kids = kids[period*times:]
	}
}

// repeated finds the sequence of leaves that repeats from the head of a list
// of siblings, over the most of them: one call again and again, or a
// connection and a query in turn. 0 where nothing does.
func (w *waterfall) repeated(kids []*evidence.Span) (period, times int) {
	for p := 1; p <= foldPeriod; p++ {
		n := 0
		for n < len(kids) && same(kids[n], kids[n%p]) && len(w.children[kids[n].ID]) == 0 {
			n++
		}
		if n/p >= foldFrom && n/p*p > period*times {
			period, times = p, n/p
		}
	}
	return period, times
}

func same(a, b *evidence.Span) bool { return a.Service == b.Service && nameOf(a) == nameOf(b) }

// nameOf is what a span did: its statement, where it has one.
func nameOf(s *evidence.Span) string { return cmp.Or(s.Attr(evidence.AttrDBQuery), s.Name) }

func every(spans []*evidence.Span, n int) []*evidence.Span {
	var out []*evidence.Span
	for i := 0; i < len(spans); i += n {
		out = append(out, spans[i])
	}
	return out
}

// line sums up one span, or equal ones.
func (w *waterfall) line(first *evidence.Span, all []*evidence.Span, depth int) TraceSpan {
	l := TraceSpan{Service: first.Service, Name: nameOf(first), Depth: depth, Start: float64(first.Start-w.start) / 1e9}
	for _, s := range all {
		l.Seconds += float64(s.Duration()) / 1e9
		l.Error = l.Error || s.Error
	}
	if n := len(all); n > 1 {
		l.Times, l.Extent = n, float64(all[n-1].End-first.Start)/1e9
	}
	return l
}
