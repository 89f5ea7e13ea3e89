package analyzers

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// TraceReport is one trace explained: what its request waited for, and the
// patterns seen in it. Its JSON is a contract; lists are never null.
type TraceReport struct {
	TraceID   string         `json:"trace_id"`
	Root      TraceRoot      `json:"root"`
	Segments  []TraceSegment `json:"segments"`  // in time order, contiguous, from the root's start to its end
	Exclusive []TraceShare   `json:"exclusive"` // of the critical path, largest first
	Patterns  []TracePattern `json:"patterns"`
	Repairs   []string       `json:"repairs"`
}

// TraceRoot is the request itself, in Unix ns.
type TraceRoot struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Start     int64  `json:"start_ns"`
	End       int64  `json:"end_ns"`
}

// TraceSegment is a stretch of the critical path, in Unix ns.
type TraceSegment struct {
	SpanID    string `json:"span_id"`
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Start     int64  `json:"start_ns"`
	End       int64  `json:"end_ns"`
}

// TraceShare is the time an operation held up the request by itself.
type TraceShare struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Time      int64  `json:"ns"`
}

// TracePattern is one mechanism found in the trace.
type TracePattern struct {
	Rule      string   `json:"rule"`
	Service   string   `json:"service"`
	Operation string   `json:"operation"`
	Callee    string   `json:"callee"`
	Count     int      `json:"count"`
	OnPath    int64    `json:"on_path_ns"`
	SpanIDs   []string `json:"span_ids"`
}

// Explain accounts for one trace by itself. What needs many traces to be told
// (how often, how much at the tail, whether the clocks agree) is left out.
func Explain(t *Trace) TraceReport {
	root := &t.Spans[t.Root]
	r := TraceReport{
		TraceID:  t.ID.String(),
		Root:     TraceRoot{root.Service, OperationOf(root), root.Start, root.End},
		Segments: []TraceSegment{}, Exclusive: []TraceShare{}, Patterns: []TracePattern{},
		Repairs: append([]string{}, t.Repairs...),
	}
	exclusive := map[evidence.Entity]int64{}
	for _, g := range t.CriticalPath() {
		e := t.entity(g.Span)
		r.Segments = append(r.Segments, TraceSegment{t.Spans[g.Span].ID.String(), e.Service, e.Operation, g.Start, g.End})
		exclusive[e] += g.End - g.Start
	}
	for e, ns := range exclusive {
		r.Exclusive = append(r.Exclusive, TraceShare{e.Service, e.Operation, ns})
	}
	slices.SortFunc(r.Exclusive, func(a, b TraceShare) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	for _, d := range detectors() {
		for _, found := range d.find(t) {
			r.Patterns = append(r.Patterns, t.explainPattern(d.rule, &found))
		}
	}
	return r
}

func (t *Trace) explainPattern(rule string, found *pattern) TracePattern {
	e := t.entity(found.server)
	p := TracePattern{Rule: rule, Service: e.Service, Operation: e.Operation, Callee: found.to.String(),
		Count: len(found.spans), OnPath: t.onPath(found.spans), SpanIDs: make([]string, len(found.spans))}
	for k, i := range found.spans {
		p.SpanIDs[k] = t.Spans[i].ID.String()
	}
	return p
}

// detectors of one trace, in the order in which their rules are listed.
func detectors() []detector {
	return []detector{
		nPlusOneDetector,
		chattyDetector,
		serialDetector,
		retryDetector,
		timeoutDetector,
		dependencyDetector,
		statementDetector,
		{rule: "cache-misses", find: missesWrittenBack},
		gapDetector,
		payloadDetector,
		stragglerDetector,
	}
}
