package report

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Bounds of a trace that is drawn.
const (
	waterfallRows  = 40
	waterfallDepth = 12
	foldFrom       = 3 // repetitions that become one line
	foldPeriod     = 4 // longest sequence of calls that is looked for as repeated
	pathSteps      = 200
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
	Times   int     `json:"times,omitempty"`  // how many equal spans it stands for; 0 means 1
	Held    float64 `json:"held_s,omitempty"` // on the critical path: what the request waited for
	// Path is when, as starts and ends in turn, in s since the trace's start.
	Path []float64 `json:"path,omitempty"`
}

// draw fills in the lines of a trace, with what of it is on the critical path.
func (t *Trace) draw(from *analyzers.Trace) {
	if from == nil || len(from.Spans) == 0 {
		return
	}
	w := newWaterfall(from)
	for _, i := range w.roots {
		w.add(i, 0)
	}
	t.Seconds = float64(w.end-w.start) / 1e9
	t.Spans = w.lines[:min(len(w.lines), waterfallRows)]
	t.LeftOut = len(from.Spans)
	for _, l := range t.Spans {
		t.LeftOut -= max(l.Times, 1)
	}
}

// traceOf finds a trace by its id; they lie in the order of ids.
func traceOf(traces []*analyzers.Trace, hex string) *analyzers.Trace {
	id, err := evidence.ParseTraceID(hex)
	if err != nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(traces, id, func(t *analyzers.Trace, id evidence.TraceID) int { return bytes.Compare(t.ID[:], id[:]) })
	if !ok {
		return nil
	}
	return traces[i]
}

// waterfall arranges the spans of one trace by who called whom.
type waterfall struct {
	trace      *analyzers.Trace
	roots      []int32
	children   map[int32][]int32
	path       map[int32][]analyzers.Segment
	start, end int64
	lines      []TraceSpan
}

func newWaterfall(t *analyzers.Trace) *waterfall {
	w := &waterfall{trace: t, children: map[int32][]int32{}, path: map[int32][]analyzers.Segment{}, start: t.Spans[0].Start, end: t.Spans[0].End}
	for i, p := range t.Parent {
		w.start, w.end = min(w.start, t.Spans[i].Start), max(w.end, t.Spans[i].End)
		if p < 0 {
			w.roots = append(w.roots, int32(i))
			continue
		}
		w.children[p] = append(w.children[p], int32(i))
	}
	for _, g := range t.CriticalPath() {
		w.path[g.Span] = append(w.path[g.Span], g)
	}
	return w
}

// add writes a span and what it called, equal calls in a row as one line.
func (w *waterfall) add(i int32, depth int) {
	w.lines = append(w.lines, w.line([]int32{i}, depth))
	if depth == waterfallDepth {
		return
	}
	kids := w.children[i]
	for len(kids) > 0 {
		period, times := w.repeated(kids)
		for k := range period {
			w.lines = append(w.lines, w.line(every(kids[k:period*times], period), depth+1))
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
func (w *waterfall) repeated(kids []int32) (period, times int) {
	for p := 1; p <= foldPeriod; p++ {
		n := 0
		for n < len(kids) && w.same(kids[n], kids[n%p]) && len(w.children[kids[n]]) == 0 {
			n++
		}
		if n/p >= foldFrom && n/p*p > period*times {
			period, times = p, n/p
		}
	}
	return period, times
}

func (w *waterfall) same(a, b int32) bool {
	x, y := &w.trace.Spans[a], &w.trace.Spans[b]
	return x.Service == y.Service && nameOf(x) == nameOf(y)
}

// nameOf is what a span did: its statement, where it has one.
func nameOf(s *evidence.Span) string { return cmp.Or(s.Attr(evidence.AttrDBQuery), s.Name) }

func every(spans []int32, n int) []int32 {
	var out []int32
	for i := 0; i < len(spans); i += n {
		out = append(out, spans[i])
	}
	return out
}

// line sums up one span, or equal ones.
func (w *waterfall) line(all []int32, depth int) TraceSpan {
	first, last := &w.trace.Spans[all[0]], &w.trace.Spans[all[len(all)-1]]
	l := TraceSpan{Service: first.Service, Name: nameOf(first), Depth: depth, Start: w.offset(first.Start)}
	for _, i := range all {
		s := &w.trace.Spans[i]
		l.Seconds += float64(s.Duration()) / 1e9
		l.Error = l.Error || s.Error
		for _, g := range w.path[i] {
			l.Held += float64(g.End-g.Start) / 1e9
			l.Path = w.extend(l.Path, g)
		}
	}
	if n := len(all); n > 1 {
		l.Times, l.Extent = n, float64(last.End-first.Start)/1e9
	}
	return l
}

func (w *waterfall) offset(ns int64) float64 { return float64(ns-w.start) / 1e9 }

// extend adds a stretch of the critical path, joined with the one before where
// no eye could see the gap.
func (w *waterfall) extend(path []float64, g analyzers.Segment) []float64 {
	from, to := w.offset(g.Start), w.offset(g.End)
	if n := len(path); n > 0 && from-path[n-1] < w.offset(w.end)/pathSteps {
		path[n-1] = max(path[n-1], to)
		return path
	}
	return append(path, from, to)
}
