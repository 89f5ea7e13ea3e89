package traces

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

type rawJSON = json.RawMessage

// decodeJSON keeps numbers as they are written: ids and times exceed 2^53.
func decodeJSON(document []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	err := d.Decode(to)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the JSON ends early, after %d bytes", len(document))
	}
	return err
}

func slicesConcat(before string, middle []byte, after string) []byte {
	return append(append([]byte(before), middle...), after...)
}

// jaegerJSON reads {"data": [trace, ...]}, one trace, or a list of them: what
// Jaeger's HTTP v1 API answers and its files hold. What came before an error is
// returned with it.
func (b *builder) jaegerJSON(document []byte) ([]evidence.Span, error) {
	return b.appendJaeger(nil, document, nil)
}

// appendJaeger is jaegerJSON into a list that may be used again. ends are where
// lists and objects right inside the document end, as far as that is known.
func (b *builder) appendJaeger(spans []evidence.Span, document []byte, ends []int) ([]evidence.Span, error) {
	b.Lock()
	defer b.Unlock()
	r := jaegerReader{builder: b, jsonScanner: jsonScanner{text: string(document)}, spans: spans}
	switch first := r.firstKey(); {
	case r.next() == '[':
		r.array(r.trace)
	case first == "traceID" || first == "spans" || first == "processes":
		r.ends = ends // a trace within something else has others
		r.trace()
	default:
		r.envelope()
	}
	if r.err != nil {
		return r.spans, fmt.Errorf("decode Jaeger JSON: %w", r.err)
	}
	if len(r.spans) == 0 && r.complaint != "" {
		return nil, fmt.Errorf("the server says: %s", clean(r.complaint, 200))
	}
	return r.spans, nil
}

// jaegerReader is one reading of one document.
type jaegerReader struct {
	jsonScanner
	builder    *builder
	spans      []evidence.Span
	complaint  string // the server's
	processes  map[string]*resource
	unknown    resource
	references []jaegerReference // scratch
}

func (r *jaegerReader) envelope() {
	start, single := r.pos, false
	r.object(func(key string) {
		switch key {
		case "data":
			r.array(r.trace)
		case "errors":
			r.array(func() { r.object(r.errorField) })
		case "spans":
			single = true
			r.skip()
		default:
			r.skip()
		}
	})
	if single && r.err == nil {
		r.pos = start
		r.trace()
	}
}

func (r *jaegerReader) errorField(key string) {
	if text := r.scalar(); key == "msg" && r.complaint == "" {
		r.complaint = text
	}
}

// firstKey of an object, "" for none; the position stays.
func (r *jaegerReader) firstKey() string {
	look := r.jsonScanner
	if look.next() != '{' {
		return ""
	}
	look.pos++
	if look.next() != '"' {
		return ""
	}
	return look.string()
}

// trace reads the processes first, which follow the spans that name them.
func (r *jaegerReader) trace() {
	spans := -1
	r.processes = map[string]*resource{}
	r.unknown = r.builder.resource(&fields{})
	r.object(func(key string) {
		switch key {
		case "processes":
			r.object(func(id string) { r.processes[id] = r.process() })
		case "spans":
			spans = r.pos
			r.skipPart()
		default:
			r.skip()
		}
	})
	if spans < 0 {
		return
	}
	end, err := r.pos, r.err
	r.pos, r.err = spans, nil // a broken text still gives the spans before the break
	r.array(r.span)
	if r.err == nil {
		r.pos, r.err = end, err
	}
}

func (r *jaegerReader) process() *resource {
	var f fields
	r.object(func(key string) {
		switch key {
		case "serviceName":
			f.set("service.name", r.scalar())
		case "tags":
			r.tags(&f)
		default:
			r.skip()
		}
	})
	res := r.builder.resource(&f)
	return &res
}

func (r *jaegerReader) tags(f *fields) {
	r.array(func() {
		key, value := "", ""
		r.object(func(part string) {
			switch part {
			case "key":
				key = r.scalar()
			case "value":
				value = r.scalar()
			default:
				r.skip()
			}
		})
		f.set(key, value)
	})
}

// span reads one span; times are in µs.
func (r *jaegerReader) span() {
	var raw rawSpan
	var start, duration int64
	res, process := &r.unknown, ""
	f := &r.builder.span
	f.reset()
	r.references = r.references[:0]
	r.object(func(key string) {
		switch key {
		case "traceID":
			raw.trace = r.scalar()
		case "spanID":
			raw.id = r.scalar()
		case "parentSpanID": // before references came
			raw.parent = r.scalar()
		case "operationName":
			raw.name = r.scalar()
		case "startTime":
			start = r.integer()
		case "duration":
			duration = r.integer()
		case "references":
			r.array(r.reference)
		case "tags":
			r.tags(f)
		case "logs":
			r.array(func() { r.object(r.logField) })
		case "processID":
			process = r.scalar()
		case "process": // some clones write it in place
			res = r.process()
		default:
			r.skip()
		}
	})
	if r.err != nil {
		return
	}
	if known := r.processes[process]; known != nil && res == &r.unknown {
		res = known
	}
	if start > 0 {
		raw.start, raw.end = start*1000, (start+max(duration, 0))*1000
	}
	raw.refer(r.references)
	if span, ok := r.builder.build(res, raw); ok {
		r.spans = append(r.spans, span)
	}
}

func (r *jaegerReader) logField(key string) {
	if key == "fields" {
		r.tags(&r.builder.span)
		return
	}
	r.skip()
}

func (r *jaegerReader) reference() {
	var ref jaegerReference
	r.object(func(key string) {
		switch key {
		case "refType":
			ref.follows = r.scalar() == "FOLLOWS_FROM"
		case "traceID":
			ref.trace = r.scalar()
		case "spanID":
			ref.span = r.scalar()
		default:
			r.skip()
		}
	})
	r.references = append(r.references, ref)
}

// sameTrace compares trace ids whose leading zeros or case may differ; the bytes
// of binary ids compare as they are.
func (r *rawSpan) sameTrace(id string) bool {
	if r.binary {
		return id == r.trace
	}
	return strings.EqualFold(strings.TrimLeft(id, "0"), strings.TrimLeft(r.trace, "0"))
}
