package shop

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// What a real library says under today's names leaves under yesterday's.
func TestOldConventionsKeepNoNewName(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tracers := trace.NewTracerProvider(trace.WithSyncer(oldConventions{kept}))
	server := httptest.NewServer(otelhttp.NewHandler(http.NotFoundHandler(), "", otelhttp.WithTracerProvider(tracers)))
	defer server.Close()
	client := http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport, otelhttp.WithTracerProvider(tracers))}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	methods := 0
	for _, s := range kept.GetSpans() {
		for _, a := range s.Attributes {
			if _, isNew := oldKeys[a.Key]; isNew || a.Key == "error.type" {
				t.Errorf("%s has %s", s.Name, a.Key)
			}
			if a.Key == "http.method" && a.Value.AsString() == "GET" {
				methods++
			}
		}
	}
	if methods != 2 {
		t.Errorf("%d spans tell their method, want 2", methods)
	}
}
