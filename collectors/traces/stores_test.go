package traces

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// routes serves fixed answers by path, 404 for the rest, and notes what was
// asked.
func routes(t *testing.T, answers map[string]string) (address string, asked func(path string) []string) {
	t.Helper()
	var mu sync.Mutex
	queries := map[string][]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		queries[r.URL.Path] = append(queries[r.URL.Path], r.URL.Query().Encode())
		mu.Unlock()
		body, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
			w.Header().Set("Content-Type", "application/json")
		} else {
			w.Header().Set("Content-Type", "application/protobuf")
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(path string) []string {
		mu.Lock()
		defer mu.Unlock()
		return queries[path]
	}
}

// Each protocol is recognised by its answers, and gives the same two spans.
func TestStoresRecognised(t *testing.T) {
	trace := protoOf(t, otlpTraces(0, 1))
	id := evidence.TraceID(traceID(0)).String()
	for _, c := range []struct {
		protocol string
		answers  map[string]string
		searched string
		query    string
	}{
		{"Jaeger api_v3 over HTTP", map[string]string{
			"/api/v3/services":   `{"services":["orders"]}`,
			"/api/v3/operations": `{"operations":[{"name":"GET /orders","spanKind":"server"}]}`,
			"/api/v3/traces":     `{"result":` + string(jsonOf(t, otlpTraces(0, 1))) + `}`,
		}, "/api/v3/traces", "query.num_traces="},
		{"Jaeger v1 over HTTP", map[string]string{
			"/api/services":   `{"data":["orders"],"total":1,"errors":null}`,
			"/api/operations": `{"data":[{"name":"GET /orders","spanKind":"server"}],"total":1,"errors":null}`,
			"/api/traces":     jaegerFile,
		}, "/api/traces", "service=orders"},
		{"Jaeger v1 over HTTP", map[string]string{ // a clone with the older list of operations
			"/api/services":                   `{"data":["orders"]}`,
			"/api/services/orders/operations": `{"data":["GET /orders","SELECT orders"]}`,
			"/api/traces":                     jaegerFile,
		}, "/api/traces", "operation=GET+%2Forders"},
		{"Zipkin v2 over HTTP", map[string]string{
			"/api/v2/services": `["orders"]`,
			"/api/v2/spans":    `["GET /orders"]`,
			"/api/v2/traces":   "[" + zipkinFile + "]",
		}, "/api/v2/traces", "serviceName=orders"},
		{"Grafana Tempo over HTTP", map[string]string{
			"/api/v2/search/tag/resource.service.name/values": `{"tagValues":[{"type":"string","value":"orders"}]}`,
			"/api/v2/search/tag/name/values":                  `{"tagValues":[{"type":"string","value":"GET /orders"}]}`,
			"/api/search":                                     `{"traces":[{"traceID":"1","rootServiceName":"orders"}]}`,
			"/api/v2/traces/" + id:                            string(appendMessage(nil, 1, trace)),
		}, "/api/search", "resource.service.name+%3D+%22orders%22"},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			address, asked := routes(t, c.answers)
			b, err := tryCollect(address)
			if err != nil {
				t.Fatal(err)
			}
			if b.Sources[0].Protocol != c.protocol || b.Sources[0].Status != evidence.StatusOK {
				t.Errorf("%+v %+v", b.Sources, b.Gaps)
			}
			b.Sort()
			want, err := newBuilder().otlpProto(trace)
			if err != nil {
				t.Fatal(err)
			}
			sameSpans(t, b.Spans, want, 1)
			if q := strings.Join(asked(c.searched), "\n"); !strings.Contains(q, c.query) {
				t.Errorf("asked %s, want %s", q, c.query)
			}
		})
	}
}

// A trace that Tempo cuts is used as far as it goes, and said to be cut.
func TestTempoPartial(t *testing.T) {
	trace := protoOf(t, otlpTraces(0, 1))
	address, _ := routes(t, map[string]string{
		"/api/v2/search/tag/resource.service.name/values": `{"tagValues":[{"type":"string","value":"orders"}]}`,
		"/api/v2/search/tag/name/values":                  `{"tagValues":[{"type":"string","value":"GET /orders"}]}`,
		"/api/search":                                     `{"traces":[{"traceID":"1","rootServiceName":"orders"}]}`,
		"/api/v2/traces/" + strings.Repeat("0", 31) + "1": string(append(appendMessage(nil, 1, trace), 3<<3, 1)),
	})
	b, err := tryCollect(address)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Spans) != 2 || b.Sources[0].Status != evidence.StatusPartial || len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Reason, "in part only") {
		t.Errorf("%d spans, %+v %+v", len(b.Spans), b.Sources, b.Gaps)
	}
}

// A base path belongs to the address.
func TestStoreBelowPath(t *testing.T) {
	address, _ := routes(t, map[string]string{"/jaeger/api/v3/services": `{"services":[]}`})
	b, err := tryCollect(address + "/jaeger/")
	if err != nil || len(b.Gaps) != 1 {
		t.Fatal(err, b)
	}
}

// Configured services alone are searched, by their server spans, be they roots
// or not; the store's own service only when it is the only one.
func TestServicesSearched(t *testing.T) {
	over := func(services ...string) *search {
		cfg := Config{Services: services}
		cfg.setDefaults()
		b := newBuilder()
		return newSearch(&cfg, &memoryStore{known: []string{"jaeger", "shop", "api"}}, b, &meter{})
	}
	for _, c := range []struct {
		s    *search
		want string
	}{
		{over(), `["api","shop"]`},
		{over("payments"), `["payments"]`},
		{newSearch(&Config{}, &memoryStore{known: []string{"jaeger"}}, newBuilder(), &meter{}), `["jaeger"]`},
	} {
		got, err := c.s.services(context.Background())
		if text, _ := json.Marshal(got); err != nil || string(text) != c.want {
			t.Errorf("%s, want %s", text, c.want)
		}
	}
}

// Targets are the operations that requests enter by: of services in the middle
// of traces nothing is searched for.
func TestTargets(t *testing.T) {
	root := evidence.Span{Trace: evidence.TraceID{1}, ID: evidence.SpanID{1}, Service: "front", Name: "GET /a", Kind: evidence.KindServer}
	inner := evidence.Span{Trace: evidence.TraceID{1}, ID: evidence.SpanID{2}, Parent: root.ID, Service: "back", Name: "GET /b", Kind: evidence.KindServer}
	other := evidence.Span{Trace: evidence.TraceID{2}, ID: evidence.SpanID{3}, Service: "unlisted", Name: "GET /c", Kind: evidence.KindServer}
	st := &memoryStore{known: []string{"front", "back"}, spans: []evidence.Span{root, inner, other}, operations: map[string][]operation{
		"front": {{"GET /a", "server"}, {"GET /rare", "server"}, {"call", "client"}},
		"back":  {{"GET /b", "server"}},
	}}
	for _, c := range []struct {
		services []string
		want     string
	}{
		{nil, "front GET /a, front GET /rare"},
		{[]string{"back"}, "back GET /b"},
		{[]string{"unlisted"}, "unlisted GET /c"},
	} {
		cfg := Config{Services: c.services}
		cfg.setDefaults()
		s := newSearch(&cfg, st, newBuilder(), &meter{})
		if err := s.run(context.Background(), past); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tg := range s.targets {
			got = append(got, tg.service+" "+tg.operation)
		}
		if text := strings.Join(got, ", "); text != c.want || len(s.sample.spans) != 3 {
			t.Errorf("targets %s, want %s; %d spans", text, c.want, len(s.sample.spans))
		}
	}
}

// memoryStore answers every search with all it has.
type memoryStore struct {
	known      []string
	operations map[string][]operation
	spans      []evidence.Span
}

func (m *memoryStore) Protocol() string                           { return "memory" }
func (m *memoryStore) Close()                                     {}
func (m *memoryStore) Services(context.Context) ([]string, error) { return m.known, nil }
func (m *memoryStore) Operations(_ context.Context, service string) ([]operation, error) {
	return m.operations[service], nil
}
func (m *memoryStore) Search(context.Context, query) ([]evidence.Span, error) { return m.spans, nil }
func (m *memoryStore) Trace(_ context.Context, id evidence.TraceID, _ evidence.Window) ([]evidence.Span, error) {
	return slices.DeleteFunc(slices.Clone(m.spans), func(s evidence.Span) bool { return s.Trace != id }), nil
}
