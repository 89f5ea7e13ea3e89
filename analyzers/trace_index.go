package analyzers

import (
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// traceIndex is what analyzers look up in the traces again and again.
type traceIndex struct {
	asked      map[evidence.Entity]*requestSample // by operation of a root
	spells     map[evidence.Entity]*spellSample   // by operation of a root
	served     map[evidence.Entity]float64        // requests to every operation, weighted, wherever they were called
	services   map[string]*spanSet
	statements map[string]*spanSet // by key of the statement
	places     map[*evidence.Entity]*placeIndex
}

// placeIndex is what is known of one operation, wherever it was called.
type placeIndex struct {
	asked  *requestSample // nil where no root asks for it
	served float64        // requests, weighted
}

// spanSet is some spans of many traces, in the order of the traces.
type spanSet struct {
	traces []*Trace
	ends   []int32 // into spans, by trace
	spans  []int32
}

func (s *spanSet) add(t *Trace, span int32) {
	if n := len(s.traces); n == 0 || s.traces[n-1] != t {
		s.traces = append(s.traces, t)
		s.ends = append(s.ends, 0)
	}
	s.spans = append(s.spans, span)
	s.ends[len(s.ends)-1] = int32(len(s.spans))
}

// at are the spans of the k-th trace.
func (s *spanSet) at(k int) []int32 {
	from := int32(0)
	if k > 0 {
		from = s.ends[k-1]
	}
	return s.spans[from:s.ends[k]]
}

// of are the spans of a trace.
func (s *spanSet) of(t *Trace) []int32 {
	k, ok := slices.BinarySearchFunc(s.traces, t, compareTraces)
	if !ok {
		return nil
	}
	return s.at(k)
}

func compareTraces(a, b *Trace) int { return int(a.ordinal - b.ordinal) }

// factsOfTraces indexes traces, which must come from BuildTraces.
func factsOfTraces(traces []*Trace) *Facts {
	x := traceIndex{asked: map[evidence.Entity]*requestSample{}, served: map[evidence.Entity]float64{},
		services: map[string]*spanSet{}, statements: map[string]*spanSet{},
		places: map[*evidence.Entity]*placeIndex{}}
	for _, t := range traces {
		if x.asked[t.asks] == nil {
			x.asked[t.asks] = &requestSample{target: t.asks}
		}
	}
	for _, t := range traces {
		x.addRequests(t)
		x.addSpans(t)
	}
	for e, at := range x.places {
		x.served[*e] = at.served
	}
	for _, s := range x.asked {
		s.sort()
	}
	return &Facts{Traces: traces, index: x}
}

func (x *traceIndex) addRequests(t *Trace) {
	x.asked[t.asks].add(t, []int32{t.Root})
	for k := range t.entries {
		e := t.entries[k].entity
		at := x.places[e]
		if at == nil {
			at = &placeIndex{asked: x.asked[*e]}
			x.places[e] = at
		}
		at.served += t.Weight
		if s := at.asked; s != nil && *e != t.asks && (len(s.traces) == 0 || s.traces[len(s.traces)-1] != t) {
			s.add(t, t.requests(*e))
		}
	}
}

func (x *traceIndex) addSpans(t *Trace) {
	var last *spanSet
	service := ""
	for i := range t.Spans {
		s := &t.Spans[i]
		if last == nil || s.Service != service {
			service = s.Service
			last = setOf(x.services, service)
		}
		last.add(t, int32(i))
		if key := s.Attr(evidence.AttrDBKey); key != "" {
			setOf(x.statements, key).add(t, int32(i))
		}
	}
}

func setOf(sets map[string]*spanSet, name string) *spanSet {
	s := sets[name]
	if s == nil {
		s = &spanSet{}
		sets[name] = s
	}
	return s
}

// serviceSpans are the spans of a service, none where it has none.
func (f *Facts) serviceSpans(name string) *spanSet { return orNone(f.index.services[name]) }

// statementSpans are the spans of a statement, by its key.
func (f *Facts) statementSpans(key string) *spanSet { return orNone(f.index.statements[key]) }

func orNone(s *spanSet) *spanSet {
	if s == nil {
		return &spanSet{}
	}
	return s
}
