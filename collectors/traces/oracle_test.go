package traces

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// jaegerTrace is a trace of Jaeger's HTTP v1 API and its JSON files.
type jaegerTrace struct {
	Spans     []jaegerSpan             `json:"spans"`
	Processes map[string]jaegerProcess `json:"processes"`
}

type jaegerProcess struct {
	Service string      `json:"serviceName"`
	Tags    []jaegerTag `json:"tags"`
}

type jaegerTag struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

type jaegerSpan struct {
	Trace      string      `json:"traceID"`
	ID         string      `json:"spanID"`
	Parent     string      `json:"parentSpanID"` // before references came
	Name       string      `json:"operationName"`
	Start      json.Number `json:"startTime"` // µs
	Duration   json.Number `json:"duration"`  // µs
	References []struct {
		Type  string `json:"refType"`
		Trace string `json:"traceID"`
		Span  string `json:"spanID"`
	} `json:"references"`
	Tags []jaegerTag `json:"tags"`
	Logs []struct {
		Fields []jaegerTag `json:"fields"`
	} `json:"logs"`
	Process   string         `json:"processID"`
	Processes *jaegerProcess `json:"process"` // some clones write it in place
}

// jaegerOracle decodes with encoding/json. It reads {"data": [trace, ...]}, one trace, or a list of them.
func (b *builder) jaegerOracle(document []byte) ([]evidence.Span, error) {
	var envelope struct {
		Data   []jaegerTrace `json:"data"`
		Errors []struct {
			Message string `json:"msg"`
		} `json:"errors"`
		jaegerTrace
	}
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(document), []byte("[")) {
		err = decodeJSON(document, &envelope.Data)
	} else {
		err = decodeJSON(document, &envelope)
	}
	if err != nil {
		return nil, fmt.Errorf("decode Jaeger JSON: %w", err)
	}
	if len(envelope.Data) == 0 && len(envelope.Errors) > 0 {
		return nil, fmt.Errorf("the server says: %s", clean(envelope.Errors[0].Message, 200))
	}
	if len(envelope.Spans) > 0 {
		envelope.Data = append(envelope.Data, envelope.jaegerTrace)
	}
	b.Lock()
	defer b.Unlock()
	var spans []evidence.Span
	for i := range envelope.Data {
		spans = b.oracleTrace(spans, &envelope.Data[i])
	}
	return spans, nil
}

func (b *builder) oracleTrace(spans []evidence.Span, t *jaegerTrace) []evidence.Span {
	processes := map[string]*resource{}
	for id, p := range t.Processes {
		processes[id] = b.oracleProcess(p)
	}
	unknown := b.oracleProcess(jaegerProcess{})
	for i := range t.Spans {
		s := &t.Spans[i]
		res := processes[s.Process]
		if s.Processes != nil {
			res = b.oracleProcess(*s.Processes)
		}
		if res == nil {
			res = unknown
		}
		if span, ok := b.oracleSpan(res, s); ok {
			spans = append(spans, span)
		}
	}
	return spans
}

func (b *builder) oracleProcess(p jaegerProcess) *resource {
	var f fields
	setTags(&f, p.Tags)
	f.set("service.name", p.Service)
	res := b.resource(&f)
	return &res
}

func (b *builder) oracleSpan(res *resource, s *jaegerSpan) (evidence.Span, bool) {
	raw := rawSpan{trace: s.Trace, id: s.ID, parent: s.Parent, name: s.Name}
	start, err := s.Start.Int64()
	if err == nil && start > 0 {
		duration, _ := s.Duration.Int64()
		raw.start, raw.end = start*1000, (start+max(duration, 0))*1000
	}
	s.refer(&raw)
	b.span.reset()
	setTags(&b.span, s.Tags)
	for _, l := range s.Logs {
		setTags(&b.span, l.Fields)
	}
	return b.build(res, raw)
}

// refer takes the first CHILD_OF inside the trace as the parent; without one,
// the first FOLLOWS_FROM.
func (s *jaegerSpan) refer(raw *rawSpan) {
	for _, kind := range []string{"CHILD_OF", "FOLLOWS_FROM"} {
		for _, r := range s.References {
			if raw.parent == "" && r.Type == kind && raw.sameTrace(r.Trace) {
				raw.parent, raw.follows = r.Span, kind == "FOLLOWS_FROM"
			}
		}
	}
}

func setTags(f *fields, tags []jaegerTag) {
	for _, t := range tags {
		if src, ok := f.wants(t.Key); ok {
			f.take(src, t.Key, tagText(t.Value))
		}
	}
}

func tagText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number, bool:
		return fmt.Sprint(v)
	}
	return "" // lists and objects
}
