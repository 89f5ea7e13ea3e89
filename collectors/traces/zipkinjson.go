package traces

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

type zipkinSpan struct {
	Trace     string            `json:"traceId"`
	ID        string            `json:"id"`
	Parent    string            `json:"parentId"`
	Kind      string            `json:"kind"`
	Name      string            `json:"name"`
	Timestamp json.Number       `json:"timestamp"` // µs
	Duration  json.Number       `json:"duration"`  // µs
	Local     zipkinEndpoint    `json:"localEndpoint"`
	Remote    zipkinEndpoint    `json:"remoteEndpoint"`
	Tags      map[string]string `json:"tags"`
	Shared    bool              `json:"shared"` // the server's half of a span whose client half has the same id
}

type zipkinEndpoint struct {
	Service string `json:"serviceName"`
	IPv4    string `json:"ipv4"`
}

// zipkinJSON reads a list of Zipkin v2 spans, or a list of such lists.
func (b *builder) zipkinJSON(document []byte) ([]evidence.Span, error) {
	var lists [][]zipkinSpan
	inner := bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimSpace(document), []byte("[")), " \t\r\n")
	if bytes.HasPrefix(inner, []byte("[")) {
		if err := decodeJSON(document, &lists); err != nil {
			return nil, fmt.Errorf("decode Zipkin JSON: %w", err)
		}
	} else {
		lists = make([][]zipkinSpan, 1)
		if err := decodeJSON(document, &lists[0]); err != nil {
			return nil, fmt.Errorf("decode Zipkin JSON: %w", err)
		}
	}
	b.Lock()
	defer b.Unlock()
	var spans []evidence.Span
	for _, list := range lists {
		spans = append(spans, b.zipkinSpans(list)...)
	}
	return spans, nil
}

func (b *builder) zipkinSpans(list []zipkinSpan) []evidence.Span {
	var spans []evidence.Span
	for i := range list {
		if span, ok := b.zipkinSpan(&list[i]); ok {
			spans = append(spans, span)
		}
	}
	return rekeyShared(spans, list)
}

func (b *builder) zipkinSpan(s *zipkinSpan) (evidence.Span, bool) {
	raw := rawSpan{trace: s.Trace, id: s.ID, parent: s.Parent, name: s.Name}
	if start, err := s.Timestamp.Int64(); err == nil && start > 0 {
		duration, _ := s.Duration.Int64()
		raw.start, raw.end = start*1000, (start+max(duration, 0))*1000
	}
	raw.kind = spanKinds[strings.ToLower(s.Kind)]
	raw.failed = s.Tags["error"] != "" && s.Tags["error"] != "false"
	var f fields
	f.set("service.name", s.Local.Service)
	f.set("host.name", s.Local.IPv4)
	res := b.resource(&f)
	b.span.reset()
	for key, value := range s.Tags { // keys are distinct, ranks settle the rest
		b.span.set(key, value)
	}
	b.span.set("peer.service", s.Remote.Service)
	return b.build(&res, raw)
}

// rekeyShared gives the server's half of a shared span an id of its own, makes
// it the child of the client's half, and hands it the children that its own
// service recorded.
func rekeyShared(spans []evidence.Span, list []zipkinSpan) []evidence.Span {
	type key struct {
		trace evidence.TraceID
		id    evidence.SpanID
	}
	shared := map[key]int{}
	isShared := map[key]bool{}
	for i := range list {
		trace, _ := evidence.ParseTraceID(list[i].Trace)
		id, _ := evidence.ParseSpanID(list[i].ID)
		isShared[key{trace, id}] = isShared[key{trace, id}] || list[i].Shared
	}
	halves := map[key]int{}
	for i, s := range spans {
		k := key{s.Trace, s.ID}
		halves[k]++
		if s.Kind == evidence.KindServer && isShared[k] {
			shared[k] = i
		}
	}
	for i := range spans {
		s := &spans[i]
		if server, ok := shared[key{s.Trace, s.Parent}]; ok && i != server && s.Service == spans[server].Service {
			s.Parent = serverHalf(s.Parent)
		}
	}
	for k, i := range shared {
		spans[i].ID = serverHalf(k.id)
		if halves[k] > 1 { // the client's half is here too
			spans[i].Parent = k.id
		}
	}
	return spans
}

// serverHalf derives an id that is the same wherever it is derived.
func serverHalf(id evidence.SpanID) (out evidence.SpanID) {
	h := fnv.New64a()
	h.Write(id[:])
	h.Write([]byte("server"))
	copy(out[:], h.Sum(nil))
	return out
}
