package traces

import (
	"context"
	"fmt"
	"strconv"

	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// jaegerGRPCv2 is Jaeger's older gRPC API, api_v2. Its queries have the fields
// of api_v3's; its spans are Jaeger's own, in nanoseconds.
type jaegerGRPCv2 struct{ *grpcStore }

const queryServiceV2 = "/jaeger.api_v2.QueryService/"

func (s *jaegerGRPCv2) Protocol() string { return "Jaeger api_v2 over gRPC" }

func (s *jaegerGRPCv2) Services(ctx context.Context) ([]string, error) {
	return s.services(ctx, queryServiceV2)
}

// Operations are in field 2; field 1 holds names alone, of servers before 1.18.
func (s *jaegerGRPCv2) Operations(ctx context.Context, service string) ([]operation, error) {
	return s.operations(ctx, queryServiceV2, service, 2)
}

func (s *jaegerGRPCv2) Search(ctx context.Context, q query) ([]evidence.Span, error) {
	var spans []evidence.Span
	err := s.call(ctx, queryServiceV2+"FindTraces", appendMessage(nil, 1, q.proto()), func(message []byte) error {
		more, err := s.builder.jaegerProto(message)
		spans = append(spans, more...)
		return err
	})
	return found404(spans, err)
}

// jaegerProto reads SpansResponseChunk: spans in field 1.
func (b *builder) jaegerProto(message []byte) ([]evidence.Span, error) {
	b.Lock()
	defer b.Unlock()
	var spans []evidence.Span
	err := eachField(string(message), func(f wireField) error {
		if f.id != 1 {
			return nil
		}
		span, ok, err := b.jaegerWireSpan(f.text)
		if ok {
			spans = append(spans, span)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("decode Jaeger protobuf: %w", err)
	}
	return spans, err
}

// jaegerWireSpan reads model.Span by its field numbers.
func (b *builder) jaegerWireSpan(message string) (span evidence.Span, ok bool, err error) {
	raw := rawSpan{binary: true}
	var process fields
	var duration int64
	var references []jaegerReference
	b.span.reset()
	err = eachField(message, func(f wireField) (err error) {
		switch f.id {
		case 1:
			raw.trace = f.text
		case 2:
			raw.id = f.text
		case 3:
			raw.name = f.text
		case 4:
			references, err = appendReference(references, f.text)
		case 6:
			raw.start, err = wireNanos(f.text)
		case 7:
			duration, err = wireNanos(f.text)
		case 8:
			err = b.span.tag(f.text)
		case 9:
			err = eachField(f.text, b.span.logged)
		case 10:
			err = process.process(f.text)
		}
		return err
	})
	if err != nil {
		return span, false, err
	}
	if raw.start > 0 {
		raw.end = raw.start + max(duration, 0)
	}
	raw.refer(references)
	res := b.resource(&process)
	span, ok = b.build(&res, raw)
	return span, ok, nil
}

// jaegerReference is SpanRef: trace 1, span 2, type 3 (0 CHILD_OF, 1
// FOLLOWS_FROM).
type jaegerReference struct {
	trace, span string
	follows     bool
}

func appendReference(list []jaegerReference, message string) ([]jaegerReference, error) {
	var r jaegerReference
	err := eachField(message, func(f wireField) error {
		switch f.id {
		case 1:
			r.trace = f.text
		case 2:
			r.span = f.text
		case 3:
			r.follows = f.number == 1
		}
		return nil
	})
	return append(list, r), err
}

// refer takes the first CHILD_OF inside the trace as the parent; without one,
// the first FOLLOWS_FROM.
func (r *rawSpan) refer(references []jaegerReference) {
	for _, follows := range []bool{false, true} {
		for _, ref := range references {
			if r.parent == "" && ref.follows == follows && r.sameTrace(ref.trace) {
				r.parent, r.follows = ref.span, follows
			}
		}
	}
}

// process reads Process: service 1, tags 2.
func (f *fields) process(message string) error {
	return eachField(message, func(part wireField) error {
		switch part.id {
		case 1:
			f.set("service.name", part.text)
		case 2:
			return f.tag(part.text)
		}
		return nil
	})
}

// logged reads the fields (2) of a Log.
func (f *fields) logged(part wireField) error {
	if part.id != 2 {
		return nil
	}
	return f.tag(part.text)
}

// tag reads KeyValue: key 1, string 3, bool 4, int64 5, float64 6.
func (f *fields) tag(message string) error {
	var key, text string
	kind := uint64(0)
	var number uint64
	err := eachField(message, func(part wireField) error {
		switch part.id {
		case 1:
			key = part.text
		case 2:
			kind = part.number
		case 3:
			text = part.text
		case 4, 5, 6:
			number = part.number
		}
		return nil
	})
	switch kind { // ValueType; a zero value is not written, so the type decides
	case 1:
		text = strconv.FormatBool(number != 0)
	case 2:
		text = strconv.FormatInt(int64(number), 10)
	case 3:
		text = floatText(math.Float64frombits(number))
	}
	f.set(key, text)
	return err
}

// wireNanos reads a Timestamp or a Duration: seconds 1, nanoseconds 2.
func wireNanos(message string) (ns int64, err error) {
	err = eachField(message, func(f wireField) error {
		switch f.id {
		case 1:
			ns += int64(f.number) * 1e9
		case 2:
			ns += int64(f.number)
		}
		return nil
	})
	return ns, err
}
