package traces

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// otlpTraces makes n traces of a server span with one query each, a second
// apart from epoch on.
func otlpTraces(first, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "orders")
	rs.Resource().Attributes().PutStr("host.name", "host-a")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := first; i < first+n; i++ {
		start := epoch.Add(time.Duration(i) * time.Second)
		root := spans.AppendEmpty()
		root.SetTraceID(traceID(i))
		root.SetSpanID(pcommon.SpanID{1})
		root.SetName("GET /orders")
		root.SetKind(ptrace.SpanKindServer)
		root.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		root.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(50 * time.Millisecond)))
		q := spans.AppendEmpty()
		root.CopyTo(q)
		q.SetSpanID(pcommon.SpanID{2})
		q.SetParentSpanID(pcommon.SpanID{1})
		q.SetKind(ptrace.SpanKindClient)
		q.SetName("SELECT orders")
		q.Attributes().PutStr("db.system.name", "postgresql")
		q.Attributes().PutStr("db.query.text", fmt.Sprintf("SELECT * FROM orders WHERE id = %d", i))
	}
	return td
}

func traceID(i int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return id
}

func protoOf(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	b, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func jsonOf(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	b, err := new(ptrace.JSONMarshaler).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func prefixed(messages ...[]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(m))), m...)
	}
	return out
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, nil)
}

func readFile(t *testing.T, content []byte, cfg Config, w evidence.Window) (*evidence.Bundle, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spans")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Collect(context.Background(), w)
	if b != nil {
		b.Sort()
	}
	return b, err
}

const jaegerFile = `{"data":[{"traceID":"1","spans":[
 {"traceID":"1","spanID":"0100000000000000","operationName":"GET /orders","startTime":1767268800000000,"duration":50000,"processID":"p1","references":[],"tags":[{"key":"span.kind","value":"server"}]},
 {"traceID":"01","spanID":"0200000000000000","operationName":"SELECT orders","startTime":1767268800000000,"duration":50000,"processID":"p1",
  "references":[{"refType":"CHILD_OF","traceID":"1","spanID":"0100000000000000"}],
  "tags":[{"key":"span.kind","value":"client"},{"key":"db.type","value":"postgresql"},{"key":"db.statement","type":"string","value":"SELECT * FROM orders WHERE id = 0"}]}],
 "processes":{"p1":{"serviceName":"orders","tags":[{"key":"hostname","value":"host-a"}]}}}]}`

const zipkinFile = `[{"traceId":"1","id":"0100000000000000","kind":"SERVER","name":"GET /orders","timestamp":1767268800000000,"duration":50000,"localEndpoint":{"serviceName":"orders","ipv4":"host-a"}},
{"traceId":"1","id":"0200000000000000","parentId":"0100000000000000","kind":"CLIENT","name":"SELECT orders","timestamp":1767268800000000,"duration":50000,"localEndpoint":{"serviceName":"orders","ipv4":"host-a"},
"tags":{"db.system":"postgresql","db.statement":"SELECT * FROM orders WHERE id = 0"}}]`

// Every format gives the same spans.
func TestFileFormats(t *testing.T) {
	one := otlpTraces(0, 1)
	want, err := readFile(t, prefixed(protoOf(t, one)), Config{}, evidence.Window{})
	if err != nil || len(want.Spans) != 2 {
		t.Fatal(err, want)
	}
	for _, c := range []struct {
		name    string
		content []byte
	}{
		{"json line", append(jsonOf(t, one), '\n')},
		{"json among metrics", []byte("{\"resourceMetrics\":[]}\n\n" + string(jsonOf(t, one)))},
		{"json in an envelope", []byte(`{"result":` + string(jsonOf(t, one)) + `}`)},
		{"json over lines", []byte("\xef\xbb\xbf" + strings.ReplaceAll(string(jsonOf(t, one)), `,"`, ",\n \""))},
		{"bare protobuf", protoOf(t, one)},
		{"messages compressed one by one", prefixed(zst(protoOf(t, one)))},
		{"gzip", gz(jsonOf(t, one))},
		{"zstd", zst(prefixed(protoOf(t, one)))},
		{"jaeger", []byte(jaegerFile)},
		{"zipkin", []byte(zipkinFile)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readFile(t, c.content, Config{}, evidence.Window{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Sources[0].Status != evidence.StatusOK {
				t.Errorf("%+v %+v", got.Sources, got.Gaps)
			}
			sameSpans(t, got.Spans, want.Spans, 1)
		})
	}
}

// What is broken is named by its place, and the rest is used.
func TestFileBroken(t *testing.T) {
	good, whole := string(jsonOf(t, otlpTraces(0, 1))), prefixed(protoOf(t, otlpTraces(0, 1)))
	for _, c := range []struct {
		name, content string
		spans         int
		says          string
	}{
		{"cut line", good + "\n" + good[:100] + "\n" + good, 4, "spans line 2: the JSON ends early"},
		{"cut end", good + "\n" + good[:100], 2, "spans line 2: the JSON ends early"},
		{"not a number", good + "\n" + strings.Replace(good, `"kind":2`, `"kind":x`, 1), 2, "spans line 2: decode OTLP JSON"},
		{"other json", `{"hello": 1}` + "\n" + good, 2, "spans line 1: the JSON is none of"},
		{"cut message", string(whole) + string(whole[:50]), 2, fmt.Sprintf("spans offset %d: the file ends 46 bytes into", len(whole))},
		{"malformed message", string(whole) + "\x00\x00\x00\x02\x0a\xff" + string(whole), 4, fmt.Sprintf("spans offset %d: decode OTLP protobuf", len(whole))},
		{"claims too much", string(whole) + "\xff\xff\xff\xff", 2, "larger than 64 MiB"},
		{"cut gzip", string(gz([]byte(good + "\n" + good))[:180]), 0, "unexpected EOF"},
		{"empty", "", 0, "the file is empty"},
		{"text", "hello, world", 0, "decode OTLP protobuf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := readFile(t, []byte(c.content), Config{}, evidence.Window{})
			if c.spans == 0 {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("error %v, want %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Spans) != c.spans || b.Sources[0].Status != evidence.StatusPartial || len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Reason, c.says) {
				t.Errorf("%d spans, %+v", len(b.Spans), b.Gaps)
			}
		})
	}
}

func TestFileWindow(t *testing.T) {
	b, err := readFile(t, jsonOf(t, otlpTraces(0, 10)), Config{}, evidence.Window{Start: epoch.Add(2 * time.Second), End: epoch.Add(5 * time.Second)})
	if err != nil || len(b.Spans) != 6 {
		t.Fatal(err, len(b.Spans))
	}
	b, err = readFile(t, jsonOf(t, otlpTraces(0, 10)), Config{}, evidence.Window{Start: epoch.Add(time.Hour), End: epoch.Add(2 * time.Hour)})
	if err != nil || len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Reason, "20 spans, none of a trace") {
		t.Fatal(err, b)
	}
}

// A file beyond the bound is thinned evenly to whole traces, the same ones in
// any order.
func TestFileThinned(t *testing.T) {
	halves := [][]byte{protoOf(t, otlpTraces(0, 500)), protoOf(t, otlpTraces(500, 500))}
	var first *evidence.Bundle
	for _, content := range [][]byte{prefixed(halves[0], halves[1]), prefixed(halves[1], halves[0])} {
		b, err := readFile(t, content, Config{MaxSpans: 600}, evidence.Window{})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.Spans); n > 600 || n < 300 || len(b.Weights) != n/2 || b.Weights[0].Weight != 4 || len(b.Sources[0].Notes) != 1 {
			t.Errorf("%d spans, %d weights, %v", n, len(b.Weights), b.Sources[0].Notes)
		}
		if first == nil {
			first = b
		} else if fmt.Sprint(traceIDs(b)) != fmt.Sprint(traceIDs(first)) {
			t.Errorf("the order of the file changed what was kept")
		}
	}
}

func traceIDs(b *evidence.Bundle) []evidence.TraceID {
	var out []evidence.TraceID
	for _, s := range b.Spans {
		out = append(out, s.Trace)
	}
	return out
}

// The parts of a trace may lie in several messages, and in several files.
func TestTraceSplit(t *testing.T) {
	whole := otlpTraces(0, 1)
	parts := []ptrace.Traces{ptrace.NewTraces(), ptrace.NewTraces()}
	for k := range parts { // the servers' spans here, the callers' there
		whole.CopyTo(parts[k])
		parts[k].ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(s ptrace.Span) bool { return (s.Kind() == ptrace.SpanKindServer) != (k == 0) })
	}
	want, err := readFile(t, prefixed(protoOf(t, whole)), Config{}, evidence.Window{})
	if err != nil || len(want.Spans) != 2 {
		t.Fatal(err, want)
	}
	got, err := readFile(t, prefixed(protoOf(t, parts[1]), protoOf(t, parts[0])), Config{}, evidence.Window{})
	if err != nil {
		t.Fatal(err)
	}
	sameSpans(t, got.Spans, want.Spans, 1)
	var files []collectors.Collector
	for k, part := range parts {
		path := filepath.Join(t.TempDir(), fmt.Sprint(k))
		if err := os.WriteFile(path, prefixed(protoOf(t, part)), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := NewFile(path, Config{})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	both, err := collectors.Collect(t.Context(), evidence.Window{}, files, collectors.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sameSpans(t, both.Spans, want.Spans, 1)
}
