package traces

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// spanBytes is about what a span takes in protobuf, to make room at once.
const spanBytes = 400

// otlpProto reads one TracesData or ExportTraceServiceRequest; both have their
// resource spans in field 1. It reads only what is kept. What came before an
// error is returned with it.
func (b *builder) otlpProto(message []byte) ([]evidence.Span, error) {
	return b.appendProto(make([]evidence.Span, 0, len(message)/spanBytes), string(message))
}

// appendProto is otlpProto into a list that may be used again.
func (b *builder) appendProto(spans []evidence.Span, message string) ([]evidence.Span, error) {
	b.Lock()
	defer b.Unlock()
	err := eachField(message, func(f wireField) (err error) {
		if f.id == 1 {
			spans, err = b.wireResource(spans, f.text)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("decode OTLP protobuf: %w", err)
	}
	return spans, err
}

// wireResource reads ResourceSpans: resource 1, scope spans 2. The resource may
// come last.
func (b *builder) wireResource(spans []evidence.Span, message string) ([]evidence.Span, error) {
	var f fields
	err := eachField(message, func(part wireField) error {
		if part.id != 1 {
			return nil
		}
		return eachField(part.text, func(a wireField) error {
			if a.id != 1 {
				return nil
			}
			return f.attribute(a.text)
		})
	})
	if err != nil {
		return spans, err
	}
	res := b.resource(&f)
	err = eachField(message, func(part wireField) error {
		if part.id != 2 {
			return nil
		}
		return eachField(part.text, func(s wireField) error {
			if s.id != 2 {
				return nil
			}
			span, ok, err := b.wireSpan(&res, s.text)
			if ok {
				spans = append(spans, span)
			}
			return err
		})
	})
	return spans, err
}

// wireSpan reads Span by its field numbers.
func (b *builder) wireSpan(res *resource, message string) (evidence.Span, bool, error) {
	raw := rawSpan{binary: true}
	b.span.reset()
	b.links = b.links[:0]
	for len(message) > 0 {
		f, rest, err := nextField(message)
		if err != nil {
			return evidence.Span{}, false, err
		}
		switch f.id {
		case 1:
			raw.trace = f.text
		case 2:
			raw.id = f.text
		case 4:
			raw.parent = f.text
		case 5:
			raw.name = f.text
		case 6:
			raw.kind = spanKind(int32(f.number))
		case 7:
			raw.start = int64(f.number)
		case 8:
			raw.end = int64(f.number)
		case 9:
			err = b.span.attribute(f.text)
		case 11:
			err = b.wireEvent(f.text)
		case 13:
			b.links = append(b.links, f.text) // read once the ids are known: fields come in any order
		case 15:
			raw.failed, err = wireFailed(f.text)
		}
		if err != nil {
			return evidence.Span{}, false, err
		}
		message = rest
	}
	if err := raw.followWire(b.links); err != nil {
		return evidence.Span{}, false, err
	}
	span, ok := b.build(res, raw)
	return span, ok, nil
}

// wireEvent reads the attributes (3) of an event: exceptions name error types.
func (b *builder) wireEvent(message string) error {
	return eachField(message, func(f wireField) error {
		if f.id != 3 {
			return nil
		}
		return b.span.attribute(f.text)
	})
}

// followWire is follow for links as they lie in the message: trace 1, span 2.
func (r *rawSpan) followWire(links []string) error {
	orphan := isZero(r.parent)
	for _, message := range links {
		var trace, span string
		err := eachField(message, func(f wireField) error {
			switch f.id {
			case 1:
				trace = f.text
			case 2:
				span = f.text
			}
			return nil
		})
		if err != nil {
			return err
		}
		if orphan && !r.follows && trace == r.trace && !isZero(span) {
			r.parent, r.follows = span, true
		}
	}
	return nil
}

// wireFailed reads Status: code 3 is 2 for an error.
func wireFailed(message string) (failed bool, err error) {
	err = eachField(message, func(f wireField) error {
		if f.id == 3 {
			failed = f.number == 2
		}
		return nil
	})
	return failed, err
}

func isZero(id string) bool {
	for i := range len(id) {
		if id[i] != 0 {
			return false
		}
	}
	return true
}
