package shop

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// latencyBounds are those of OpenTelemetry's HTTP advice, refined where a
// shop's requests lie: a percentile read from a bucket is only as exact as the
// bucket is narrow.
var latencyBounds = []float64{.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2.5, 5, 10}

// gcCPU are the metrics of the CPU that collecting garbage takes: the library
// has them, and leaves them out unless asked.
var gcCPU = regexp.MustCompile(`^/cpu/classes/gc/`)

// telemetry holds the providers that everything else of a process is given.
type telemetry struct {
	registry *prometheus.Registry
	own      prometheus.Registerer // of the shop's metrics, under their prefix
	tracers  *trace.TracerProvider
	latency  *prometheus.HistogramVec
	unit     float64 // of latency, a second
	active   *prometheus.GaugeVec
}

func newTelemetry(ctx context.Context, p settings.Process) (*telemetry, error) {
	tracers, err := newTracers(ctx, p)
	if err != nil {
		return nil, err
	}
	t := &telemetry{registry: prometheus.NewRegistry(), tracers: tracers, unit: 1}
	t.own = prometheus.WrapRegistererWithPrefix(p.Sight.MetricPrefix, t.registry)
	name, bounds, labels := "http_server_request_duration_seconds", latencyBounds, []string{"http_request_method", "http_route", "http_response_status_code"}
	if p.Sight.OldConventions {
		t.unit = 1000
		name, bounds, labels = "http_server_duration_milliseconds", milliseconds(latencyBounds), []string{"http_method", "http_route", "http_status_code"}
	}
	t.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: "Duration of HTTP server requests.", Buckets: bounds}, labels)
	t.active = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "http_server_active_requests", Help: "Number of active HTTP server requests.",
	}, labels[:1])
	t.own.MustRegister(t.latency, t.active)
	t.registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: gcCPU})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t, nil
}

func milliseconds(of []float64) []float64 {
	out := make([]float64, len(of))
	for i, s := range of {
		out[i] = s * 1000
	}
	return out
}

// newTracers exports every span, unless the settings say otherwise. The queue is larger than the default so that
// a burst of statements does not lose spans, which would look like missing data.
func newTracers(ctx context.Context, p settings.Process) (*trace.TracerProvider, error) {
	var exporter trace.SpanExporter
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(p.OTLP+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("create span exporter: %w", err)
	}
	if p.Sight.OldConventions {
		exporter = oldConventions{exporter}
	}
	sampler := trace.AlwaysSample()
	if p.Sight.Sampling > 0 {
		sampler = trace.ParentBased(trace.TraceIDRatioBased(p.Sight.Sampling))
	}
	who := resource.NewSchemaless(
		attribute.String("service.name", p.Rename(p.Service)),
		attribute.String("service.namespace", p.Rename("shop")),
		attribute.String("service.version", "1.0.0"),
		attribute.String("service.instance.id", p.Listen),
	)
	return trace.NewTracerProvider(
		trace.WithResource(who),
		trace.WithSampler(sampler),
		trace.WithBatcher(exporter, trace.WithBatchTimeout(time.Second), trace.WithMaxQueueSize(16384), trace.WithMaxExportBatchSize(1024)),
	), nil
}

// close flushes the spans that are still queued.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = t.tracers.Shutdown(ctx) // the receiver may be gone first: nothing to do about it
}

// traced adds a server span to every request.
func (t *telemetry) traced(next http.Handler) http.Handler {
	return otelhttp.NewHandler(next, "", otelhttp.WithTracerProvider(t.tracers), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// client calls other services, with a client span and W3C propagation. It
// keeps more idle connections than Go's default of two, which would open a
// connection for most calls.
func (t *telemetry) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 128
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(t.tracers), otelhttp.WithPropagators(propagation.TraceContext{})),
	}
}

// measured counts and times every request by route.
func (t *telemetry) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		active := t.active.WithLabelValues(r.Method)
		active.Inc()
		defer active.Dec()
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		start := time.Now()
		next.ServeHTTP(recorder, r)
		t.latency.WithLabelValues(r.Method, route(r), strconv.Itoa(recorder.status)).Observe(time.Since(start).Seconds() * t.unit)
	})
}

// route is the path of the pattern that matched, without the method.
func route(r *http.Request) string {
	_, path, _ := strings.Cut(r.Pattern, " ")
	return path
}

// statusRecorder remembers the status that a handler wrote.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
