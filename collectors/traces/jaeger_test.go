package traces

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/testdata/needs"
)

// jaegerServer is a real Jaeger with memory storage on free loopback ports.
type jaegerServer struct{ http, grpc, otlp string }

func startJaeger(t *testing.T) jaegerServer {
	t.Helper()
	cache, _ := os.UserCacheDir()
	binary := filepath.Join(cache, "culprit-lab", "jaeger-1.76.0")
	if _, err := os.Stat(binary); err != nil {
		needs.Missing(t, "no Jaeger at "+binary+": `go run . doctor` in testdata/lab tells how to build it")
	}
	p := freePorts(t, 6)
	s := jaegerServer{http: p[0], grpc: p[1], otlp: p[2]}
	config := fmt.Sprintf(`
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
    logs: {level: error}
extensions:
  jaeger_query: {storage: {traces: memory}, http: {endpoint: "%s"}, grpc: {endpoint: "%s"}}
  jaeger_storage: {backends: {memory: {memory: {max_traces: 50000}}}}
  healthcheckv2: {use_v2: true, http: {endpoint: "%s"}}
receivers:
  otlp: {protocols: {grpc: {endpoint: "%s"}, http: {endpoint: "%s"}}}
processors: {batch: {timeout: 100ms}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
`, p[0], p[1], p[3], p[2], p[4])
	path := filepath.Join(t.TempDir(), "jaeger.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "jaeger.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config", path)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); log.Close() })
	for deadline := time.Now().Add(40 * time.Second); ; {
		if resp, err := http.Get("http://" + s.http + "/api/services"); err == nil {
			resp.Body.Close()
			return s
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("Jaeger did not start:\n%s", text)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// shop sends traces with the real OpenTelemetry SDK: a gateway calls a
// service, which queries a database n times.
type shop struct {
	gateway, orders *sdktrace.TracerProvider
}

func newShop(t *testing.T, exporter func() sdktrace.SpanExporter) *shop {
	t.Helper()
	provider := func(service string) *sdktrace.TracerProvider {
		res := sdkresource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.instance.id", service+"-1"),
			attribute.String("service.version", "1.2.3"), attribute.String("k8s.pod.name", service+"-pod"))
		return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter(), sdktrace.WithBatchTimeout(50*time.Millisecond)), sdktrace.WithResource(res))
	}
	return &shop{provider("gateway"), provider("orders")}
}

func (s *shop) flush(t *testing.T) {
	t.Helper()
	for _, p := range []*sdktrace.TracerProvider{s.gateway, s.orders} {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// request records one trace from start on, of the given length.
func (s *shop) request(start time.Time, length time.Duration, queries int) {
	at := func(f float64) time.Time { return start.Add(time.Duration(f * float64(length))) }
	begin := func(ctx context.Context, p *sdktrace.TracerProvider, name string, kind trace.SpanKind, f float64, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
		return p.Tracer("shop").Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(at(f)), trace.WithAttributes(attrs...))
	}
	ctx, root := begin(context.Background(), s.gateway, "GET /orders/{id}", trace.SpanKindServer, 0,
		attribute.String("http.request.method", "GET"), attribute.String("http.route", "/orders/{id}"), attribute.Int("http.response.status_code", 500))
	ctx, call := begin(ctx, s.gateway, "GET", trace.SpanKindClient, 0.05, attribute.String("url.full", "http://orders:8080/orders/42?x=1"), attribute.String("server.address", "orders"), attribute.Int("server.port", 8080))
	ctx, order := begin(ctx, s.orders, "GET /orders/{id}", trace.SpanKindServer, 0.1, attribute.String("http.method", "GET"), attribute.String("net.peer.name", "gateway"))
	for i := range queries {
		from := 0.1 + 0.8*float64(i)/float64(queries)
		_, q := begin(ctx, s.orders, "query SELECT * FROM items WHERE id = "+fmt.Sprint(i), trace.SpanKindClient, from,
			attribute.String("db.system", "postgresql"), attribute.String("db.statement", fmt.Sprintf("SELECT * FROM items WHERE id = %d AND secret = 's3cr3t'", i)))
		q.End(trace.WithTimestamp(at(from + 0.7/float64(queries))))
	}
	order.SetStatus(codes.Error, "boom")
	order.RecordError(fmt.Errorf("boom"))
	_, event := begin(ctx, s.orders, "publish", trace.SpanKindProducer, 0.9, attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination", "done"))
	mctx, consumer := begin(trace.ContextWithSpan(ctx, event), s.orders, "process", trace.SpanKindConsumer, 0.95)
	_ = mctx
	event.End(trace.WithTimestamp(at(0.91)))
	consumer.End(trace.WithTimestamp(at(1.5)))
	order.End(trace.WithTimestamp(at(0.93)))
	call.End(trace.WithTimestamp(at(0.95)))
	root.End(trace.WithTimestamp(at(1)))
}

func otlpTo(t *testing.T, address string) func() sdktrace.SpanExporter {
	return func() sdktrace.SpanExporter {
		t.Helper()
		e, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func collect(t *testing.T, cfg Config, w evidence.Window) *evidence.Bundle {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Collect(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	b.Sort()
	return b
}

// Written once, read back through every protocol: the same spans.
func TestJaegerProtocolsAgree(t *testing.T) {
	jaeger := startJaeger(t)
	s := newShop(t, otlpTo(t, jaeger.otlp))
	start := time.Now().Add(-2 * time.Minute).Truncate(time.Microsecond)
	for i := range 30 {
		s.request(start.Add(time.Duration(i)*time.Second), 100*time.Millisecond+time.Duration(i)*time.Millisecond, 5)
	}
	s.flush(t)
	w := evidence.Window{Start: start.Add(-time.Second), End: start.Add(time.Minute)}
	want := awaitSpans(t, Config{URL: "grpc://" + jaeger.grpc}, w, 30*10)

	t.Run("http v3", func(t *testing.T) {
		got := collect(t, Config{URL: "http://" + jaeger.http}, w)
		if protocol := got.Sources[0].Protocol; protocol != "Jaeger api_v3 over HTTP" {
			t.Errorf("protocol %q", protocol)
		}
		sameSpans(t, got.Spans, want.Spans, 1)
	})
	t.Run("http v1", func(t *testing.T) {
		got := collectThrough(t, w, func(b *builder, m *meter) store { return &jaegerV1{newHTTPStore(t, "http://"+jaeger.http, m), b} })
		sameSpans(t, got.Spans, want.Spans, 1000) // it keeps µs
	})
	t.Run("by id", func(t *testing.T) { holdByID(t, jaeger, w, want.Spans) })
	t.Run("grpc v2", func(t *testing.T) {
		got := collectThrough(t, w, func(b *builder, m *meter) store {
			conn, err := grpc.NewClient(jaeger.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			return &jaegerGRPCv2{&grpcStore{conn: conn, timeout: 5 * time.Second, meter: m, builder: b}}
		})
		sameSpans(t, got.Spans, want.Spans, 1)
	})
}

// awaitSpans collects until the store has everything.
func awaitSpans(t *testing.T, cfg Config, w evidence.Window, spans int) *evidence.Bundle {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		b := collect(t, cfg, w)
		if len(b.Spans) == spans {
			return b
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d spans, want %d; %+v", len(b.Spans), spans, b.Sources)
		}
	}
}

// collectThrough forces one protocol.
func collectThrough(t *testing.T, w evidence.Window, open func(*builder, *meter) store) *evidence.Bundle {
	t.Helper()
	cfg := Config{}
	cfg.setDefaults()
	b, m := newBuilder(), &meter{}
	s := newSearch(&cfg, open(b, m), b, m)
	defer s.store.Close()
	if err := s.run(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	bundle := s.bundle(w)
	bundle.Sort()
	return bundle
}

// sameSpans compares all but the values of the salted hashes.
func sameSpans(t *testing.T, got, want []evidence.Span, unit int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d spans, want %d", len(got), len(want))
	}
	byID := map[evidence.SpanID]evidence.Span{}
	for _, s := range got {
		byID[s.ID] = s
	}
	for _, w := range want {
		g := byID[w.ID]
		gotAttrs, wantAttrs := unsalted(g.Attrs), unsalted(w.Attrs)
		g.Attrs, w.Attrs = evidence.Attrs{}, evidence.Attrs{}
		w.End = w.Start/unit*unit + (w.End-w.Start)/unit*unit
		w.Start = w.Start / unit * unit
		if g != w || !slices.Equal(gotAttrs, wantAttrs) {
			t.Fatalf("span differs:\n got %+v %v\nwant %+v %v", g, gotAttrs, w, wantAttrs)
		}
	}
}

func unsalted(attrs evidence.Attrs) []evidence.Attr {
	out := []evidence.Attr{}
	for key, value := range attrs.All() {
		if key == evidence.AttrParamsHash {
			value = "hash"
		}
		out = append(out, evidence.Attr{Key: key, Value: value})
	}
	return out
}

func newHTTPStore(t *testing.T, address string, m *meter) *httpStore {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &httpStore{base: base, client: http.DefaultClient, timeout: 5 * time.Second, meter: m}
}

// A sample of a store that holds many times more speaks for all of it: spread
// over the window, the slow drawn more densely and weighted back.
func TestJaegerSampling(t *testing.T) {
	jaeger := startJaeger(t)
	s := newShop(t, otlpTo(t, jaeger.otlp))
	const requests = 1500
	start := time.Now().Add(-2 * time.Minute).Truncate(time.Microsecond)
	mean := 0.0
	for i := range requests {
		length := time.Duration(50+i*7919%50) * time.Millisecond
		if i*31%10 == 0 {
			length *= 10
		}
		mean += length.Seconds() / requests
		s.request(start.Add(time.Duration(i)*40*time.Millisecond), length, 1)
		if i%200 == 199 { // the SDK drops what its queue cannot hold
			flush(t, s)
		}
	}
	s.flush(t)
	w := evidence.Window{Start: start, End: start.Add(time.Minute)}
	time.Sleep(time.Second) // Jaeger batches
	b := collect(t, Config{URL: "grpc://" + jaeger.grpc, MaxTraces: 300}, w)

	weights := map[evidence.TraceID]evidence.TraceWeight{}
	slow := 0
	for _, tw := range b.Weights {
		weights[tw.Trace] = tw
		if tw.Stratum == "tail" {
			slow++
		}
	}
	got, total, first, last := 0.0, 0.0, w.End.UnixNano(), w.Start.UnixNano()
	for _, sp := range b.Spans {
		if !sp.Parent.IsZero() {
			continue
		}
		got += weights[sp.Trace].Weight * float64(sp.Duration()) / 1e9
		total += weights[sp.Trace].Weight
		first, last = min(first, sp.Start), max(last, sp.Start)
	}
	if n := len(weights); n < 200 || n > 300 || slow < 60 {
		t.Errorf("%d traces, %d slow; %+v", n, slow, b.Sources)
	}
	if got /= total; got < 0.75*mean || got > 1.25*mean {
		t.Errorf("weighted mean %.3f s, of all %.3f s", got, mean)
	}
	if covered := time.Duration(last - first); covered < 55*time.Second {
		t.Errorf("the sample covers %s of a minute", covered)
	}
	if spans := len(b.Spans); spans != 7*len(weights)-len(weights) {
		t.Errorf("%d spans of %d traces", spans, len(weights))
	}
}

func flush(t *testing.T, s *shop) {
	t.Helper()
	for _, p := range []*sdktrace.TracerProvider{s.gateway, s.orders} {
		if err := p.ForceFlush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJaegerCheck(t *testing.T) {
	jaeger := startJaeger(t)
	c, err := New(Config{URL: "http://" + jaeger.http})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Check(context.Background())
	if err != nil || len(p.Gaps) != 1 || p.Source.Status != evidence.StatusPartial {
		t.Fatalf("an empty store: %+v, %v", p, err)
	}
	s := newShop(t, otlpTo(t, jaeger.otlp))
	s.request(time.Now(), time.Second, 1)
	s.flush(t)
	const both = "[speaks Jaeger api_v3 over HTTP 2 services: gateway, orders] <nil>"
	got := ""
	for deadline := time.Now().Add(10 * time.Second); got != both && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		p, err = c.Check(context.Background())
		got = fmt.Sprint(p.Lines, err)
	}
	if got != both {
		t.Error(got)
	}
}
