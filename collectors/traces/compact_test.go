package traces

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// mostSpanBytes is what a live span may take, with all that it points to.
const mostSpanBytes = 200

// chattySpans say as much as instrumentation does: two dozen attributes, some in
// old names and some in both, and of these some that no other span shares:
// literals, paths with names in them, sizes, threads.
func chattySpans(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	var spans [4]ptrace.SpanSlice
	for i := range spans {
		rs := td.ResourceSpans().AppendEmpty()
		for k, v := range map[string]string{"service.name": "svc", "service.version": "1.4.2", "service.instance.id": "svc-7d9f8c-x2x4z", "host.name": "node-3",
			"k8s.pod.name": "svc-7d9f8c-x2x4z", "k8s.node.name": "node-3", "telemetry.sdk.language": "java"} {
			rs.Resource().Attributes().PutStr(k, fmt.Sprint(v, i))
		}
		spans[i] = rs.ScopeSpans().AppendEmpty().Spans()
	}
	for i := range n {
		s := spans[i%len(spans)].AppendEmpty()
		s.SetTraceID(traceID(i / 20))
		s.SetSpanID(pcommon.SpanID{1, byte(i >> 16), byte(i >> 8), byte(i)})
		s.SetParentSpanID(pcommon.SpanID{1, byte(i / 20 * 20 >> 16), byte(i / 20 * 20 >> 8), byte(i / 20 * 20)})
		s.SetStartTimestamp(pcommon.Timestamp(epoch.UnixNano() + int64(i)))
		s.SetEndTimestamp(pcommon.Timestamp(epoch.UnixNano() + int64(i) + 1e6))
		a := s.Attributes()
		a.PutInt("thread.id", int64(i))
		a.PutStr("thread.name", fmt.Sprintf("worker-%d", i))
		a.PutStr("network.peer.address", "10.0.0.7")
		a.PutInt("network.peer.port", 5432)
		if i%2 == 0 {
			chattyStatement(s, a, i)
		} else {
			chattyRequest(s, a, i)
		}
	}
	return td
}

func chattyStatement(s ptrace.Span, a pcommon.Map, i int) {
	s.SetName("SELECT shop.items")
	s.SetKind(ptrace.SpanKindClient)
	text := fmt.Sprintf("SELECT id, name, price FROM items_%d WHERE order_id = %d AND mail = 'u%d@example.org'", i%200, i, i)
	for k, v := range map[string]string{"db.system": "postgresql", "db.system.name": "postgresql", "db.statement": text, "db.query.text": text, "db.name": "shop",
		"db.namespace": "shop", "db.operation": "SELECT", "db.sql.table": "items", "db.user": "shop", "server.address": "db", "net.peer.name": "db",
		"code.function.name": "Items.load", "code.file.path": "src/items.java"} {
		a.PutStr(k, v)
	}
	a.PutInt("server.port", 5432)
	a.PutInt("code.line.number", int64(20+i%40))
	a.PutInt("db.response.returned_rows", int64(i%500))
}

func chattyRequest(s ptrace.Span, a pcommon.Map, i int) {
	s.SetName("GET /users/{name}/orders")
	s.SetKind(ptrace.SpanKindServer)
	path := fmt.Sprintf("/users/anna-lena-%c%c%c%c/orders", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, 'a'+i/17576%26)
	for k, v := range map[string]string{"http.request.method": "GET", "http.method": "GET", "http.route": "/users/{name}/orders", "url.path": path, "http.target": path,
		"url.scheme": "https", "http.scheme": "https", "user_agent.original": "k6/1.8", "server.address": "shop", "net.host.name": "shop", "client.address": "10.0.0.9"} {
		a.PutStr(k, v)
	}
	a.PutInt("http.response.status_code", 200)
	a.PutInt("http.status_code", 200)
	a.PutInt("http.response.body.size", int64(1000+i))
	a.PutInt("server.port", 443)
}

// liveSpans reads them from a file, and gives how many bytes each takes once
// all else is gone.
func liveSpans(t testing.TB, n int) (*evidence.Bundle, float64) {
	path := filepath.Join(t.TempDir(), "spans")
	if err := os.WriteFile(path, prefixed(protoOf(t, chattySpans(n))), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	b, err := f.Collect(t.Context(), evidence.Window{})
	if err != nil {
		t.Fatal(err)
	}
	return b, float64(heap()-before) / float64(len(b.Spans))
}

// heap is what is live, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held is free after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSpansAreCompact(t *testing.T) {
	const n = 30_000
	b, each := liveSpans(t, n)
	if len(b.Spans) != n || each > mostSpanBytes {
		t.Errorf("%d spans of %.0f bytes each, at most %d allowed", len(b.Spans), each, mostSpanBytes)
	}
	if s := b.Spans[0]; s.Attr(evidence.AttrDBQuery) == "" || s.Attr(evidence.AttrCodeLine) != "20" || s.Attr(evidence.AttrPod) == "" || s.Attr(evidence.AttrParamsHash) == "" {
		t.Errorf("%v", s)
	}
	t.Logf("%.0f bytes a span", each)
}

// BenchmarkLiveSpans shows what a span takes of the heap.
func BenchmarkLiveSpans(b *testing.B) {
	var each float64
	for b.Loop() {
		_, each = liveSpans(b, 30_000)
	}
	b.ReportMetric(each, "live-B/span")
}
