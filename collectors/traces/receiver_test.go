package traces

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func listen(t *testing.T, cfg Config) *Receiver {
	t.Helper()
	r, err := NewReceiver("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r
}

var past = evidence.Window{Start: epoch.Add(-time.Hour), End: epoch.Add(time.Hour)}

func received(t *testing.T, r *Receiver) *evidence.Bundle {
	t.Helper()
	b, err := r.Collect(context.Background(), past)
	if err != nil {
		t.Fatal(err)
	}
	b.Sort()
	return b
}

// The real SDK sends over every protocol that it has, compressed and not; what
// arrives is the same.
func TestReceiveFromSDK(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name     string
		exporter func(address string) (sdktrace.SpanExporter, error)
	}{
		{"grpc", func(a string) (sdktrace.SpanExporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(a), otlptracegrpc.WithInsecure())
		}},
		{"grpc gzip", func(a string) (sdktrace.SpanExporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(a), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
		}},
		{"http", func(a string) (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(a), otlptracehttp.WithInsecure())
		}},
		{"http gzip", func(a string) (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(a), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := listen(t, Config{})
			s := newShop(t, func() sdktrace.SpanExporter {
				e, err := c.exporter(r.Address())
				if err != nil {
					t.Fatal(err)
				}
				return e
			})
			for i := range 20 {
				s.request(epoch.Add(time.Duration(i)*time.Second), time.Second, 3)
			}
			s.request(epoch.Add(2*time.Hour), time.Second, 3) // after the window
			s.flush(t)
			b := received(t, r)
			if len(b.Spans) != 20*8 || b.Sources[0].Status != evidence.StatusOK {
				t.Fatalf("%d spans, %+v %+v", len(b.Spans), b.Sources, b.Gaps)
			}
			if q := b.Spans[3]; q.Attr(evidence.AttrDBQuery) != "select * from items where id = ? and secret = ?" || q.Service != "orders" {
				t.Errorf("%+v", q)
			}
		})
	}
}

func TestReceiveRequests(t *testing.T) {
	good := jsonOf(t, otlpTraces(0, 1))
	for _, c := range []struct {
		name, method, path, kind, encoding string
		body                               []byte
		status, spans                      int
	}{
		{"json", "POST", "/v1/traces", "application/json; charset=utf-8", "", good, 200, 2},
		{"protobuf", "POST", "/v1/traces", "application/x-protobuf", "", protoOf(t, otlpTraces(0, 1)), 200, 2},
		{"cut json", "POST", "/v1/traces", "application/json", "", good[:80], 400, 0},
		{"malformed protobuf", "POST", "/v1/traces", "application/x-protobuf", "", []byte("\x0a\xff"), 400, 0},
		{"not gzip", "POST", "/v1/traces", "application/json", "gzip", good, 400, 0},
		{"gzip bomb", "POST", "/v1/traces", "application/json", "gzip", gz(make([]byte, maxMessage+1)), 400, 0},
		{"unknown encoding", "POST", "/v1/traces", "application/json", "br", good, 400, 0},
		{"wrong type", "POST", "/v1/traces", "text/plain", "", good, 415, 0},
		{"wrong method", "GET", "/v1/traces", "", "", nil, 405, 0},
		{"wrong path", "POST", "/v1/logs", "application/json", "", good, 404, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := listen(t, Config{})
			req, _ := http.NewRequest(c.method, "http://"+r.Address()+c.path, bytes.NewReader(c.body))
			req.Header.Set("Content-Type", c.kind)
			if c.encoding != "" {
				req.Header.Set("Content-Encoding", c.encoding)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("status %s, want %d", resp.Status, c.status)
			}
			if b := received(t, r); len(b.Spans) != c.spans {
				t.Errorf("%d spans, want %d: %+v", len(b.Spans), c.spans, b.Gaps)
			}
		})
	}
}

func TestReceiveNothing(t *testing.T) {
	b := received(t, listen(t, Config{}))
	if len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Remedy, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:") {
		t.Errorf("%+v", b.Gaps)
	}
}

func TestReceiverNotBegun(t *testing.T) {
	r, err := NewReceiver("127.0.0.1:0", Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Collect(context.Background(), past); err == nil {
		t.Error("no error")
	}
	if _, err := NewReceiver("nonsense", Config{}); err == nil {
		t.Error("no error for an address without a port")
	}
	first := listen(t, Config{})
	second, _ := NewReceiver(first.Address(), Config{})
	if err := second.Begin(context.Background()); err == nil {
		t.Error("no error for a port in use")
	}
	received(t, first)
}

// A source that may take four seconds must not wait six for late spans: it
// would never ask.
func TestAwaitLateLeavesTimeToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		from := time.Now()
		awaitLate(ctx, evidence.Window{End: from})
		if waited := time.Since(from); waited != 2*time.Second {
			t.Errorf("waited %s, want half of the time", waited)
		}
		awaitLate(t.Context(), evidence.Window{End: time.Now().Add(-time.Second)})
		if waited := time.Since(from); waited != 7*time.Second {
			t.Errorf("without a deadline it was over after %s, want 5s more", waited)
		}
	})
}
