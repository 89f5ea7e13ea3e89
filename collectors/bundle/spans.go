package bundle

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// OTLP names of what a Span holds in fields of its own.
const (
	resourceService  = "service.name"
	resourceInstance = "service.instance.id"
	attrFollows      = "culprit.follows" // Span.Follows
)

type process struct{ service, instance string }

// encodeSpans writes one OTLP TracesData: a resource for every process in
// order of appearance, its spans in the bundle's order.
func encodeSpans(spans []evidence.Span) ([]byte, error) {
	traces := ptrace.NewTraces()
	scopes := map[process]ptrace.SpanSlice{}
	for i := range spans {
		s := &spans[i]
		p := process{s.Service, s.Instance}
		slice, ok := scopes[p]
		if !ok {
			slice = addProcess(traces, p)
			scopes[p] = slice
		}
		encodeSpan(slice.AppendEmpty(), s)
	}
	return (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
}

func addProcess(traces ptrace.Traces, p process) ptrace.SpanSlice {
	r := traces.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr(resourceService, p.service)
	if p.instance != "" {
		r.Resource().Attributes().PutStr(resourceInstance, p.instance)
	}
	return r.ScopeSpans().AppendEmpty().Spans()
}

func encodeSpan(to ptrace.Span, s *evidence.Span) {
	to.SetTraceID(pcommon.TraceID(s.Trace))
	to.SetSpanID(pcommon.SpanID(s.ID))
	to.SetParentSpanID(pcommon.SpanID(s.Parent))
	to.SetStartTimestamp(pcommon.Timestamp(s.Start))
	to.SetEndTimestamp(pcommon.Timestamp(s.End))
	to.SetKind(ptrace.SpanKind(s.Kind))
	to.SetName(s.Name)
	if s.Error {
		to.Status().SetCode(ptrace.StatusCodeError)
	}
	if s.Follows {
		to.Attributes().PutBool(attrFollows, true)
	}
	for key, value := range s.Attrs.All() {
		to.Attributes().PutStr(key, value)
	}
}

// decodeSpans is the inverse; the result is in the bundle's order.
func decodeSpans(content []byte, items int) ([]evidence.Span, error) {
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(content)
	if err != nil {
		return nil, fmt.Errorf("not OTLP protobuf: %w", err)
	}
	if n := traces.SpanCount(); n != items {
		return nil, fmt.Errorf("%d spans, the manifest says %d", n, items)
	}
	spans := make([]evidence.Span, 0, items)
	d := spanDecoder{strings: map[string]string{}}
	for _, r := range traces.ResourceSpans().All() {
		p := process{text(r.Resource().Attributes(), resourceService), text(r.Resource().Attributes(), resourceInstance)}
		for _, scope := range r.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				spans = append(spans, d.decode(s, p))
			}
		}
	}
	slices.SortStableFunc(spans, evidence.CompareSpans)
	return spans, nil
}

func text(m pcommon.Map, key string) string {
	if v, ok := m.Get(key); ok {
		return v.AsString()
	}
	return ""
}

// spanDecoder shares equal strings and equal attribute lists between spans.
type spanDecoder struct {
	strings map[string]string
	attrs   evidence.AttrPool
	scratch []evidence.Attr
}

func (d *spanDecoder) decode(s ptrace.Span, p process) evidence.Span {
	out := evidence.Span{
		Trace: evidence.TraceID(s.TraceID()), ID: evidence.SpanID(s.SpanID()), Parent: evidence.SpanID(s.ParentSpanID()),
		Start: int64(s.StartTimestamp()), End: int64(s.EndTimestamp()), Kind: evidence.SpanKind(s.Kind()),
		Error: s.Status().Code() == ptrace.StatusCodeError, Service: p.service, Instance: p.instance, Name: d.share(s.Name()),
	}
	if v, ok := s.Attributes().Get(attrFollows); ok {
		out.Follows = v.Bool()
	}
	out.Attrs = d.attributes(s.Attributes())
	return out
}

func (d *spanDecoder) share(s string) string {
	if known, ok := d.strings[s]; ok {
		return known
	}
	d.strings[s] = s
	return s
}

func (d *spanDecoder) attributes(m pcommon.Map) evidence.Attrs {
	d.scratch = d.scratch[:0]
	for k, v := range m.All() {
		if k != attrFollows {
			d.scratch = append(d.scratch, evidence.Attr{Key: k, Value: v.AsString()})
		}
	}
	return d.attrs.Add(d.scratch)
}
