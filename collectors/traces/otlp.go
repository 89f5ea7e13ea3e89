package traces

import (
	"bytes"
	"fmt"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// otlpJSON reads one OTLP/JSON document, bare or in Jaeger's {"result": ...}.
func (b *builder) otlpJSON(document []byte) ([]evidence.Span, error) {
	document, err := unwrap(document)
	if err != nil {
		return nil, fmt.Errorf("decode OTLP JSON: %w", err)
	}
	var decoder ptrace.JSONUnmarshaler
	td, err := decoder.UnmarshalTraces(document)
	if err != nil {
		return nil, fmt.Errorf("decode OTLP JSON: %w", err)
	}
	return b.otlp(td), nil
}

func (b *builder) otlp(td ptrace.Traces) []evidence.Span {
	b.Lock()
	defer b.Unlock()
	spans := make([]evidence.Span, 0, td.SpanCount())
	for _, rs := range td.ResourceSpans().All() {
		var f fields
		setAll(&f, rs.Resource().Attributes())
		res := b.resource(&f)
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if span, ok := b.otlpSpan(&res, s); ok {
					spans = append(spans, span)
				}
			}
		}
	}
	return spans
}

func (b *builder) otlpSpan(res *resource, s ptrace.Span) (evidence.Span, bool) {
	trace, id, parent := s.TraceID(), s.SpanID(), s.ParentSpanID()
	raw := rawSpan{
		binary: true, trace: string(trace[:]), id: string(id[:]), parent: string(parent[:]),
		start: int64(s.StartTimestamp()), end: int64(s.EndTimestamp()),
		kind: spanKind(int32(s.Kind())), failed: s.Status().Code() == ptrace.StatusCodeError, name: s.Name(),
	}
	b.span.reset()
	setAll(&b.span, s.Attributes())
	for _, e := range s.Events().All() {
		setAll(&b.span, e.Attributes())
	}
	if s.ParentSpanID().IsEmpty() {
		raw.follow(trace, s.Links())
	}
	return b.build(res, raw)
}

// follow takes the first link inside the trace as the parent of a span that
// has none: OpenTracing's FOLLOWS_FROM arrives so.
func (r *rawSpan) follow(trace pcommon.TraceID, links ptrace.SpanLinkSlice) {
	for _, l := range links.All() {
		if l.TraceID() == trace && !l.SpanID().IsEmpty() {
			id := l.SpanID()
			r.parent, r.follows = string(id[:]), true
			return
		}
	}
}

func setAll(f *fields, attributes pcommon.Map) {
	for key, value := range attributes.All() {
		if src, ok := f.wants(key); ok {
			f.take(src, key, valueText(value))
		}
	}
}

// valueText is as anyValue.
func valueText(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str()
	case pcommon.ValueTypeBool:
		return strconv.FormatBool(v.Bool())
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(v.Int(), 10)
	case pcommon.ValueTypeDouble:
		return floatText(v.Double())
	}
	return ""
}

func spanKind(n int32) evidence.SpanKind {
	if n < 0 || n > int32(evidence.KindConsumer) {
		return evidence.KindUnspecified
	}
	return evidence.SpanKind(n)
}

// unwrap strips {"result": ...} and renames Tempo's "batches".
func unwrap(document []byte) ([]byte, error) {
	document = bytes.TrimSpace(document)
	head := document[:min(len(document), 64)]
	if !bytes.Contains(head, []byte(`"result"`)) && !bytes.Contains(head, []byte(`"batches"`)) {
		return document, nil
	}
	var envelope struct {
		Result  rawJSON `json:"result"`
		Batches rawJSON `json:"batches"`
	}
	if err := decodeJSON(document, &envelope); err != nil {
		return nil, err
	}
	switch {
	case len(envelope.Result) > 0:
		return envelope.Result, nil
	case len(envelope.Batches) > 0:
		return slicesConcat(`{"resourceSpans":`, envelope.Batches, `}`), nil
	}
	return document, nil
}
