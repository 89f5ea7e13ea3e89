//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/collectors/traces"
)

// BenchmarkFileToFindings reads a file of traces and runs every analyzer, and
// beside it what a peer needs to decode the same bytes and no more. Figures
// are spans a second of CPU time, all threads and the collection of garbage
// counted.
func BenchmarkFileToFindings(b *testing.B) {
	widenHeap() // as the verbs that read files do
	shop := newShop(10_000)
	dir := b.TempDir()
	proto, jaeger := filepath.Join(dir, "traces.pb"), filepath.Join(dir, "jaeger.json")
	messages := shop.protoFile(b, proto)
	shop.jaegerFile(b, jaeger)
	shop.all, shop.td, shop.scopes = nil, ptrace.Traces{}, nil // the garbage collector is not to look through them
	b.Run("otlp-proto", func(b *testing.B) {
		b.Run("culprit", analyzeFile(proto, shop.spans))
		b.Run("pdata-decoding-alone", decodeWithPdata(messages, shop.spans))
	})
	b.Run("jaeger-json", func(b *testing.B) {
		b.Run("culprit", analyzeFile(jaeger, shop.spans))
		b.Run("encoding-json-decoding-alone", decodeWithEncodingJSON(jaeger, shop.spans))
	})
	bundle := readSpans(b, proto)
	if len(bundle.Spans) != shop.spans {
		b.Fatalf("%d of %d spans were read", len(bundle.Spans), shop.spans)
	}
	b.Run("analyzers-alone", func(b *testing.B) {
		perCPU(b, shop.spans, func() { analyzers.Run(bundle) })
	})
}

func analyzeFile(path string, spans int) func(*testing.B) {
	return func(b *testing.B) {
		perCPU(b, spans, func() {
			if r := analyzers.Run(readSpans(b, path)); len(r.Findings) == 0 {
				b.Fatal("nothing found")
			}
		})
	}
}

func decodeWithPdata(messages [][]byte, spans int) func(*testing.B) {
	return func(b *testing.B) {
		perCPU(b, spans, func() {
			for _, m := range messages {
				if _, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// jaegerDocument is what Jaeger's HTTP API answers, as far as culprit reads it.
type jaegerDocument struct {
	Data []struct {
		Spans []struct {
			TraceID, SpanID, OperationName, ProcessID string
			StartTime, Duration                       int64
			References                                []struct{ RefType, TraceID, SpanID string }
			Tags                                      []jaegerTag
			Logs                                      []struct{ Fields []jaegerTag }
		}
		Processes map[string]struct {
			ServiceName string
			Tags        []jaegerTag
		}
	}
}

type jaegerTag struct {
	Key   string
	Value any
}

func decodeWithEncodingJSON(path string, spans int) func(*testing.B) {
	return func(b *testing.B) {
		perCPU(b, spans, func() {
			text, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			var document jaegerDocument
			if err := json.Unmarshal(text, &document); err != nil {
				b.Fatal(err)
			}
			read := 0
			for _, t := range document.Data {
				read += len(t.Spans)
			}
			if read != spans {
				b.Fatalf("%d of %d spans were read", read, spans)
			}
		})
	}
}

func perCPU(b *testing.B, spans int, work func()) {
	b.Helper()
	b.ReportAllocs()
	runtime.GC()
	began := cpuTime(b)
	for b.Loop() {
		work()
	}
	b.ReportMetric(float64(spans)*float64(b.N)/(cpuTime(b)-began).Seconds(), "spans/cpu-s")
}

func readSpans(b *testing.B, path string) *evidence.Bundle {
	b.Helper()
	f, err := traces.NewFile(path, traces.Config{MaxSpans: 1 << 20}) // the default would thin them
	if err != nil {
		b.Fatal(err)
	}
	read, err := f.Collect(b.Context(), evidence.Window{})
	if err != nil {
		b.Fatal(err)
	}
	read.Window = evidence.Window{Start: time.Unix(1_700_000_000, 0), End: time.Unix(1_700_003_600, 0)}
	read.Sort()
	return read
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// shop is a synthetic load of twenty spans a trace over eight services: HTTP
// calls, statements (a loop of six in every fourth trace), a cache that
// misses now and then. The same seed gives the same traces.
type shop struct {
	random *rand.Rand
	trace  uint64
	next   uint64
	spans  int
	all    []ptrace.Traces
	td     ptrace.Traces
	scopes map[string]ptrace.ScopeSpans
}

const tracesPerMessage = 100

func newShop(traces int) *shop {
	s := &shop{random: rand.New(rand.NewPCG(1, 2))}
	for i := range traces {
		if i%tracesPerMessage == 0 {
			s.td, s.scopes = ptrace.NewTraces(), map[string]ptrace.ScopeSpans{}
			s.all = append(s.all, s.td)
		}
		s.order(1_700_000_000_000_000_000 + int64(i)*360_000_000)
	}
	return s
}

func (s *shop) order(at int64) {
	s.trace++
	slow := 1 + s.random.ExpFloat64()
	ms := func(n float64) int64 { return int64(n * slow * 1e6) }
	root := s.span(0, "gateway", "GET /orders/{id}", ptrace.SpanKindServer, at, at+ms(60), route("GET", "/orders/{id}"))
	end := at + ms(1)
	end = s.visit(root, "gateway", "users", "GET /users/{id}", end, ms(4))
	end = s.visit(root, "gateway", "orders", "GET /orders/{id}", end, ms(40))
	end = s.visit(root, "gateway", "ads", "GET /ads", end, ms(3))
	s.visit(root, "gateway", "reviews", "GET /reviews/{id}", end, ms(3))
	work := s.span(root, "orders", "load order", ptrace.SpanKindInternal, at+ms(6), at+ms(40), map[string]string{"code.function.name": "LoadOrder", "code.file.path": "orders.go"})
	s.statements(work, at+ms(7), ms)
}

func (s *shop) statements(parent uint64, at int64, ms func(float64) int64) {
	text := func(int) string { return "SELECT id, name FROM items WHERE order_id = $1" }
	if s.random.IntN(4) > 0 {
		text = func(i int) string { return fmt.Sprintf("SELECT a%d FROM t%d WHERE id = $1", i, i) }
	}
	for i := range 6 {
		s.span(parent, "orders", "SELECT", ptrace.SpanKindClient, at, at+ms(2), sql(text(i)))
		at += ms(2.5)
	}
	for range 2 {
		s.span(parent, "orders", "GET", ptrace.SpanKindClient, at, at+ms(0.5), cache("GET price:1"))
		at += ms(0.6)
		s.span(parent, "orders", "SELECT", ptrace.SpanKindClient, at, at+ms(1), sql("SELECT price FROM prices WHERE id = $1"))
		at += ms(1.2)
	}
}

// visit is a call of a service with the answer.
func (s *shop) visit(parent uint64, from, to, operation string, at, took int64) int64 {
	call := s.span(parent, from, "GET", ptrace.SpanKindClient, at, at+took, map[string]string{"http.request.method": "GET", "server.address": to, "http.response.status_code": "200"})
	if s.random.IntN(10) > 0 || to == "orders" {
		s.span(call, to, operation, ptrace.SpanKindServer, at+took/10, at+took*9/10, route("GET", operation[4:]))
	}
	return at + took
}

func route(method, path string) map[string]string {
	return map[string]string{"http.request.method": method, "http.route": path, "url.scheme": "http", "url.path": path, "http.response.status_code": "200", "network.protocol.version": "1.1"}
}

func sql(text string) map[string]string {
	return map[string]string{"db.system.name": "postgresql", "db.query.text": text, "db.namespace": "shop", "server.address": "db", "server.port": "5432"}
}

func cache(text string) map[string]string {
	return map[string]string{"db.system.name": "redis", "db.query.text": text, "server.address": "cache", "server.port": "6379"}
}

func (s *shop) span(parent uint64, service, name string, kind ptrace.SpanKind, start, end int64, attributes map[string]string) uint64 {
	scope, ok := s.scopes[service]
	if !ok {
		rs := s.td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("service.instance.id", service+"-0")
		rs.Resource().Attributes().PutStr("host.name", "node-1")
		scope = rs.ScopeSpans().AppendEmpty()
		s.scopes[service] = scope
	}
	s.next++
	s.spans++
	sp := scope.Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID(wide(s.trace*0x9e3779b97f4a7c15, s.trace)))
	sp.SetSpanID(narrow(s.next))
	if parent > 0 {
		sp.SetParentSpanID(narrow(parent))
	}
	sp.SetName(name)
	sp.SetKind(kind)
	sp.SetStartTimestamp(pcommon.Timestamp(start))
	sp.SetEndTimestamp(pcommon.Timestamp(end))
	for k, v := range attributes {
		sp.Attributes().PutStr(k, v)
	}
	return s.next
}

func wide(high, low uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}

func narrow(n uint64) (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// protoFile writes the traces as the Collector's file exporter does.
func (s *shop) protoFile(b *testing.B, path string) (messages [][]byte) {
	var file bytes.Buffer
	for _, td := range s.all {
		m, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
		if err != nil {
			b.Fatal(err)
		}
		messages = append(messages, m)
		file.Write(binary.BigEndian.AppendUint32(nil, uint32(len(m))))
		file.Write(m)
	}
	save(b, path, file.Bytes())
	return messages
}

func save(b *testing.B, path string, content []byte) {
	b.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
}

// jaegerFile writes the traces as Jaeger's HTTP API returns them, a list of
// traces in one document.
func (s *shop) jaegerFile(b *testing.B, path string) {
	var file bytes.Buffer
	file.WriteString(`{"data":[`)
	for i, td := range s.all {
		if i > 0 {
			file.WriteByte(',')
		}
		jaegerTrace(&file, td)
	}
	file.WriteString(`]}`)
	save(b, path, file.Bytes())
}

func jaegerTrace(file *bytes.Buffer, td ptrace.Traces) {
	file.WriteString(`{"spans":[`)
	first := true
	for i, rs := range td.ResourceSpans().All() {
		for _, sp := range rs.ScopeSpans().At(0).Spans().All() {
			if !first {
				file.WriteByte(',')
			}
			first = false
			jaegerSpan(file, sp, i)
		}
	}
	file.WriteString(`],"processes":{`)
	for i, rs := range td.ResourceSpans().All() {
		if i > 0 {
			file.WriteByte(',')
		}
		service, _ := rs.Resource().Attributes().Get("service.name")
		fmt.Fprintf(file, `"p%d":{"serviceName":%q,"tags":[{"key":"host.name","type":"string","value":"node-1"}]}`, i, service.Str())
	}
	file.WriteString(`}}`)
}

func jaegerSpan(file *bytes.Buffer, sp ptrace.Span, process int) {
	fmt.Fprintf(file, `{"traceID":"%s","spanID":"%s","operationName":%q,"references":[`, sp.TraceID(), sp.SpanID(), sp.Name())
	if !sp.ParentSpanID().IsEmpty() {
		fmt.Fprintf(file, `{"refType":"CHILD_OF","traceID":"%s","spanID":"%s"}`, sp.TraceID(), sp.ParentSpanID())
	}
	start, end := int64(sp.StartTimestamp())/1000, int64(sp.EndTimestamp())/1000
	fmt.Fprintf(file, `],"startTime":%d,"duration":%d,"tags":[{"key":"span.kind","type":"string","value":"%s"}`, start, end-start, kinds[sp.Kind()])
	for k, v := range sp.Attributes().All() {
		fmt.Fprintf(file, `,{"key":%q,"type":"string","value":%s}`, k, strconv.Quote(v.Str()))
	}
	fmt.Fprintf(file, `],"logs":[],"processID":"p%d","warnings":null}`, process)
}

var kinds = map[ptrace.SpanKind]string{ptrace.SpanKindInternal: "internal", ptrace.SpanKindServer: "server", ptrace.SpanKindClient: "client"}
