package traces

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// sample is what a search has kept: whole traces, each once, within bounds.
type sample struct {
	maxTraces, maxSpans int

	seen    map[evidence.TraceID]bool
	spans   []evidence.Span
	traces  int
	refused int // traces that found no room
}

// found is one trace of an answer.
type found struct {
	id    evidence.TraceID
	spans []evidence.Span
}

// byTrace groups the spans of one answer: stores mix traces, and split them.
func byTrace(spans []evidence.Span) []found {
	index := map[evidence.TraceID]int{}
	var out []found
	for _, s := range spans {
		i, ok := index[s.Trace]
		if !ok {
			i = len(out)
			index[s.Trace] = i
			out = append(out, found{id: s.Trace})
		}
		out[i].spans = append(out[i].spans, s)
	}
	return out
}

// keep takes a trace in; it reports whether it was new and found room.
func (s *sample) keep(t found) bool {
	if s.seen[t.id] {
		return false
	}
	if s.traces >= s.maxTraces || len(s.spans)+len(t.spans) > s.maxSpans {
		s.refused++
		return false
	}
	s.seen[t.id] = true
	s.traces++
	s.spans = append(s.spans, t.spans...)
	return true
}

func (s *sample) full() bool { return s.traces >= s.maxTraces || len(s.spans) >= s.maxSpans }

// roots are the spans without a parent in their trace.
func (t *found) roots() []*evidence.Span {
	ids := map[evidence.SpanID]bool{}
	for i := range t.spans {
		ids[t.spans[i].ID] = true
	}
	var out []*evidence.Span
	for i := range t.spans {
		if s := &t.spans[i]; s.Parent.IsZero() || !ids[s.Parent] {
			out = append(out, s)
		}
	}
	return out
}

// longest is the duration in ns of the longest span of an operation.
func (t *found) longest(service, name string) (ns int64, ok bool) {
	for i := range t.spans {
		if s := &t.spans[i]; s.Service == service && s.Name == name {
			ns, ok = max(ns, s.Duration()), true
		}
	}
	return ns, ok
}

// listed names the first n of names.
func listed(names []string, n int) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}
