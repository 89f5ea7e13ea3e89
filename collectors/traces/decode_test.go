package traces

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// richTraces has every construct that the decoders read or must pass over.
func richTraces(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range 2 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("https://example")
		attrs := rs.Resource().Attributes()
		attrs.PutStr("service.name", fmt.Sprintf("svc%d", r))
		attrs.PutStr("service.version", "1.2.3")
		attrs.PutStr("k8s.pod.name", "pod-1")
		attrs.PutStr("telemetry.sdk.language", "go")
		attrs.PutEmptySlice("process.command_args").AppendEmpty().SetStr("x")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("scope")
		for i := range n {
			richSpan(ss.Spans().AppendEmpty(), r, i)
		}
	}
	return td
}

func richSpan(s ptrace.Span, r, i int) {
	s.SetTraceID(traceID(i / 10))
	s.SetSpanID(pcommon.SpanID{byte(r), byte(i >> 8), byte(i), 1})
	if i%10 > 0 {
		s.SetParentSpanID(pcommon.SpanID{byte(r), byte((i - 1) >> 8), byte(i - 1), 1})
	}
	s.SetName("GET /orders/{id}")
	s.SetKind(ptrace.SpanKind(i % 6))
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch.Add(time.Duration(i) * time.Millisecond)))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(epoch.Add(time.Duration(i+5) * time.Millisecond)))
	s.TraceState().FromRaw("ot=th:8")
	a := s.Attributes()
	a.PutStr("http.request.method", "GET")
	a.PutStr("http.route", "/orders/{id}")
	a.PutInt("http.response.status_code", int64(200+i%2*300))
	a.PutStr("server.address", "orders")
	a.PutInt("server.port", 8080)
	a.PutStr("network.protocol.version", "1.1")
	a.PutStr("user_agent.original", "k6/1.8")
	if i%3 == 0 {
		a.PutStr("db.system.name", "postgresql")
		a.PutStr("db.query.text", "SELECT o.id, o.total FROM orders o WHERE o.customer_id = $1 ORDER BY o.id LIMIT 50")
		a.PutDouble("db.response.returned_rows", 1.5)
		a.PutEmptyMap("db.query.parameter.x").PutStr("a", "b")
	}
	if i%7 == 0 {
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage("boom")
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.type", "Timeout")
		e.Attributes().PutStr("exception.stacktrace", "secret")
	}
	if i%10 == 0 {
		l := s.Links().AppendEmpty()
		l.SetTraceID(traceID(i/10 + i%20/10))
		l.SetSpanID(pcommon.SpanID{9})
	}
}

// oracle decodes with pdata and reads the same way.
func (b *builder) oracle(message []byte) ([]evidence.Span, error) {
	td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(message)
	if err != nil {
		return nil, err
	}
	return b.otlp(td), nil
}

func twins() (*builder, *builder) {
	a, b := newBuilder(), newBuilder()
	a.salt = b.salt
	return a, b
}

func TestProtoAgreesWithOracle(t *testing.T) {
	message := protoOf(t, richTraces(200))
	a, b := twins()
	got, err := a.otlpProto(message)
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.oracle(message)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 400 || !reflect.DeepEqual(got, want) {
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("span %d\n got %+v\nwant %+v", i, got[i], want[i])
			}
		}
	}
	fromJSON, err := b.otlpJSON(jsonOf(t, richTraces(200)))
	if err != nil || !reflect.DeepEqual(got, fromJSON) {
		t.Fatal("JSON differs", err)
	}
}

// A resource that follows its spans counts as if it came first.
func TestProtoResourceLast(t *testing.T) {
	message := string(protoOf(t, otlpTraces(0, 1)))
	var resource, spans []byte
	eachField(message, func(rs wireField) error {
		return eachField(rs.text, func(f wireField) error {
			if f.id == 1 {
				resource = appendMessage(resource, 1, []byte(f.text))
			} else if f.id == 2 {
				spans = appendMessage(spans, 2, []byte(f.text))
			}
			return nil
		})
	})
	got, err := newBuilder().otlpProto(appendMessage(nil, 1, append(spans, resource...)))
	if err != nil || len(got) != 2 || got[0].Service != "orders" {
		t.Fatal(err, got)
	}
}

// Where pdata understands a message, so does the selective decoder, and alike;
// it may understand more.
func FuzzOTLPProto(f *testing.F) {
	message := protoOf(f, richTraces(3))
	f.Add(message)
	f.Add(message[:len(message)/2])
	f.Add(appendMessage(nil, 1, nil))
	f.Fuzz(func(t *testing.T, message []byte) {
		a, b := twins()
		got, err := a.otlpProto(message)
		want, oracleErr := b.oracle(message)
		if oracleErr != nil || errors.Is(err, errGroup) { // pdata skips groups, wrongly
			return
		}
		if err != nil {
			t.Fatalf("refused what pdata reads: %v", err)
		}
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("\n got %+v\nwant %+v", got, want)
		}
	})
}

func FuzzJaegerProto(f *testing.F) {
	span := appendMessage(appendMessage(appendString(nil, 3, "x"), 1, make([]byte, 16)), 10, appendString(nil, 1, "svc"))
	f.Add(appendMessage(nil, 1, appendMessage(span, 6, appendTime(1, 2))))
	f.Fuzz(func(t *testing.T, message []byte) { bounded(t, len(message), newBuilder().jaegerProto, message) })
}

func FuzzJaegerJSON(f *testing.F) {
	f.Add([]byte(jaegerFile))
	f.Add([]byte(`{"data":[{"spans":[{"traceID":"a","spanID":"b","startTime":1,"duration":-1,"tags":[{"key":"error","value":[1]}]}]}]}`))
	f.Fuzz(func(t *testing.T, document []byte) { bounded(t, len(document), newBuilder().jaegerJSON, document) })
}

func FuzzZipkinJSON(f *testing.F) {
	f.Add([]byte(zipkinFile))
	f.Add([]byte("[" + zipkinFile + "]"))
	f.Fuzz(func(t *testing.T, document []byte) { bounded(t, len(document), newBuilder().zipkinJSON, document) })
}

func FuzzOTLPJSON(f *testing.F) {
	f.Add(jsonOf(f, richTraces(2)))
	f.Add([]byte(`{"result":{"resourceSpans":[]}}`))
	f.Fuzz(func(t *testing.T, document []byte) { bounded(t, len(document), newBuilder().otlpJSON, document) })
}

// bounded checks that what is decoded is well-formed and no larger than its
// source allows.
func bounded(t *testing.T, size int, decode func([]byte) ([]evidence.Span, error), input []byte) {
	spans, _ := decode(input)
	if len(spans) > size {
		t.Errorf("%d spans of %d bytes", len(spans), size)
	}
	for _, s := range spans {
		if s.End < s.Start || s.ID.IsZero() || s.Trace.IsZero() || s.Service == "" || strings.ContainsAny(s.Name, "\x00\n\x1b") {
			t.Errorf("%+v", s)
		}
	}
}

// A real answer of Jaeger 1.76, recorded (GetTrace of api_v3 over gRPC).
func TestRecordedAnswer(t *testing.T) {
	message, err := os.ReadFile(filepath.Join("testdata", "jaeger-1.76-v3-get-trace.pb"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := twins()
	got, err := a.otlpProto(message)
	if err != nil || len(got) != 11 {
		t.Fatal(err, len(got))
	}
	want, err := b.oracle(message)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatal("differs from the oracle", err)
	}
}

// The selective reader of Jaeger JSON and encoding/json give the same spans,
// of recorded answers and of every construct.
func TestJaegerJSONAgreesWithOracle(t *testing.T) {
	recorded, err := os.ReadFile(filepath.Join("testdata", "jaeger-1.76-v1-search.json"))
	if err != nil {
		t.Fatal(err)
	}
	odd := `{"x":[{"y":"]\\\""}],"data":[{"processes":null,"spans":[
	 {"traceID":"a","spanID":"1","operationName":"a\"\u00e9\n","startTime":"5","duration":2,"logs":null,"warnings":["x"],"process":{"serviceName":"in place"},"processID":"p1"},
	 {"traceID":"a","spanID":"2","startTime":1.5e3,"duration":2},
	 {"traceID":"a","spanID":"3","startTime":7,"duration":-2,"references":null,"processID":"p9",
	  "logs":[{"timestamp":1,"fields":[{"key":"error.kind","value":"Timeout"}]}],
	  "tags":[{"key":"http.status_code","type":"int64","value":200},{"key":"error","type":"bool","value":true},{"key":"http.route","value":null},{"key":"http.method","value":{"a":[1,"}"]}}]}]},
	 {"spans":[{"traceID":"b","spanID":"4","startTime":9,"duration":1,"processID":"p1"}],"processes":{"p1":{"tags":[{"key":"hostname","value":"h"}],"serviceName":"last"}}}],"errors":null,"total":0}`
	for name, document := range map[string][]byte{"recorded": recorded, "file": []byte(jaegerFile), "large": jaegerDocument, "odd": []byte(odd),
		"single": []byte(jaegerFile[len(`{"data":[`) : len(jaegerFile)-2]), "list": []byte(jaegerFile[len(`{"data":`) : len(jaegerFile)-1])} {
		a, b := twins()
		got, err := a.jaegerJSON(document)
		if err != nil {
			t.Fatal(name, err)
		}
		want, err := b.jaegerOracle(document)
		if err != nil || len(got) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, want)
		}
		if streamed := streamJSON(t, a, document); !reflect.DeepEqual(streamed, evidence.SortedSpans(want)) {
			t.Errorf("%s, trace by trace:\n got %+v\nwant %+v", name, streamed, want)
		}
	}
}

// streamJSON reads a document as a file is read, a trace at a time.
func streamJSON(t *testing.T, b *builder, document []byte) []evidence.Span {
	t.Helper()
	r := &fileReader{builder: b, keeper: keeper{maxSpans: 1 << 20}, progress: func(collectors.Event) {}}
	if err := r.all(t.Context(), bytes.NewReader(document)); err != nil || len(r.troubles) > 0 {
		t.Error(err, r.troubles)
	}
	return r.keeper.take(evidence.Window{})
}

// Cut anywhere, a document gives the spans that lie before the cut, and says
// that it was cut.
func TestJaegerJSONCut(t *testing.T) {
	document := []byte(strings.Replace(jaegerFile, `,"processes"`, ` ,"processes"`, 1))
	before := 0
	for n := 1; n < len(document)-1; n++ {
		spans, err := newBuilder().jaegerJSON(document[:n])
		if err == nil || !strings.Contains(err.Error(), "the JSON ends early") {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if len(spans) < before {
			t.Fatalf("cut at %d: %d spans, %d before", n, len(spans), before)
		}
		before = len(spans)
	}
	if before != 2 {
		t.Errorf("%d spans", before)
	}
}

func TestRecordedSearch(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("testdata", "jaeger-1.76-v3-search.json"))
	if err != nil {
		t.Fatal(err)
	}
	spans, err := newBuilder().otlpJSON(document)
	if err != nil || len(spans) != 22 || len(byTrace(spans)) != 2 {
		t.Fatal(err, len(spans), len(byTrace(spans)))
	}
}

func TestVarint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 300, 1<<63 - 1, 1<<64 - 1} {
		b := protowire.AppendVarint(nil, v)
		if got, n := varint(string(b)); got != v || n != len(b) {
			t.Errorf("%d: %d, %d bytes", v, got, n)
		}
	}
	for _, bad := range []string{"", "\x80", strings.Repeat("\xff", 10), strings.Repeat("\x80", 11)} {
		if _, n := varint(bad); n != 0 && bad != strings.Repeat("\xff", 10) {
			t.Errorf("%q: %d bytes", bad, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	td := richTraces(5000)
	message, document := protoOf(b, td), jsonOf(b, td)
	for _, c := range []struct {
		name   string
		decode func() (int, error)
	}{
		{"proto", func() (int, error) { s, err := newBuilder().otlpProto(message); return len(s), err }},
		{"proto-peer-pdata-only", func() (int, error) {
			td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(message)
			return td.SpanCount(), err
		}},
		{"json", func() (int, error) { s, err := newBuilder().otlpJSON(document); return len(s), err }},
		{"jaeger-json-peer-encoding-json", func() (int, error) { s, err := newBuilder().jaegerOracle(jaegerDocument); return len(s), err }},
		{"jaeger-json", func() (int, error) { s, err := newBuilder().jaegerJSON(jaegerDocument); return len(s), err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			spans := 0
			for b.Loop() {
				got, err := c.decode()
				if err != nil {
					b.Fatal(err)
				}
				spans += got
			}
			b.ReportMetric(float64(spans)/b.Elapsed().Seconds(), "spans/s")
		})
	}
}

var jaegerDocument = func() []byte {
	span := `{"traceID":"7cdeb9efbcaf097b3dc7c28cd13178da","spanID":"bf6cc9546c30d43d","operationName":"SELECT order_items","references":[{"refType":"CHILD_OF","traceID":"7cdeb9efbcaf097b3dc7c28cd13178da","spanID":"774256b3ed6607f8"}],"startTime":1795210404722788,"duration":1108,"tags":[{"key":"db.collection.name","type":"string","value":"order_items"},{"key":"db.query.text","type":"string","value":"SELECT * FROM order_items WHERE order_id = $1"},{"key":"db.system.name","type":"string","value":"postgresql"},{"key":"otel.scope.name","type":"string","value":"lab/sql"},{"key":"span.kind","type":"string","value":"client"}],"logs":[],"processID":"p1","warnings":null}`
	return []byte(`{"data":[{"traceID":"7cdeb9efbcaf097b3dc7c28cd13178da","spans":[` + strings.Repeat(span+",", 9999) + span + `],"processes":{"p1":{"serviceName":"orders","tags":[]}}}]}`)
}()
