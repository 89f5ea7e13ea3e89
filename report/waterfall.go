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
	foldFrom       = 3 // equal calls in a row that become one line
)

// TraceSpan is one line of a waterfall: a span, or several equal ones in a
// row.
type TraceSpan struct {
	Service string  `json:"service" clean:"name"`
	Name    string  `json:"name" clean:"name"`
	Depth   int     `json:"depth"`
	Start   float64 `json:"start_s"` // since the trace's start
	Seconds float64 `json:"seconds"` // of several: from the first's start to the last's end
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
	for _, l := range w.lines[len(t.Spans):] {
		t.LeftOut += max(l.Times, 1)
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
	w.lines = append(w.lines, w.line(s, s, depth, 1))
	if depth == waterfallDepth {
		return
	}
	kids := w.children[s.ID]
	for i := 0; i < len(kids); {
		n := w.run(kids[i:])
		if n >= foldFrom {
			w.lines = append(w.lines, w.line(kids[i], kids[i+n-1], depth+1, n))
		} else {
			n = 1
			w.add(kids[i], depth+1)
		}
		i += n
	}
}

// run counts the equal leaves at the head of a list of siblings.
func (w *waterfall) run(kids []*evidence.Span) int {
	n := 0
	for n < len(kids) && kids[n].Service == kids[0].Service && kids[n].Name == kids[0].Name && len(w.children[kids[n].ID]) == 0 {
		n++
	}
	return n
}

func (w *waterfall) line(first, last *evidence.Span, depth, n int) TraceSpan {
	l := TraceSpan{
		Service: first.Service, Name: cmp.Or(first.Name, first.Attr(evidence.AttrDBOperation)), Depth: depth,
		Start: float64(first.Start-w.start) / 1e9, Seconds: float64(last.End-first.Start) / 1e9, Error: first.Error,
	}
	if n > 1 {
		l.Times = n
	}
	return l
}
