package prometheus

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	instrument "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// exemplary serves requests, of twenty three in 3 s and the others in 0.2 s, and
// names the traces of all: those of slow ones have an odd last byte.
func exemplary(t *testing.T) (target string) {
	t.Helper()
	latency := instrument.NewHistogramVec(instrument.HistogramOpts{Name: "http_server_request_duration_seconds", Help: "h", Buckets: []float64{0.1, 0.25, 1, 5}},
		[]string{"http_request_method", "http_route"})
	registry := instrument.NewRegistry()
	registry.MustRegister(latency)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(server.Close)
	of := latency.WithLabelValues("GET", "/x").(instrument.ExemplarObserver)
	var n atomic.Uint64
	go func() {
		for ctx := t.Context(); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			for i := range 20 {
				took, id := 0.2, n.Add(2)
				if i%7 == 0 {
					took, id = 3, id|1
				}
				of.ObserveWithExemplar(took, instrument.Labels{"trace_id": traceOfNumber(id).String()})
			}
		}
	}()
	return server.Listener.Addr().String()
}

func traceOfNumber(n uint64) (id evidence.TraceID) {
	id[0] = 0xab
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// A real server that keeps exemplars gives those of the slow requests.
func TestExemplarsOfSlowRequests(t *testing.T) {
	eachRelease(t, func(t *testing.T, r release) {
		settings := fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- {job_name: api, static_configs: [{targets: ['%s']}]}\n", exemplary(t))
		for name, flags := range map[string][]string{"kept": {"--enable-feature=exemplar-storage"}, "not kept": nil} {
			got := collectExemplars(t, r.start(t, t.TempDir(), settings, flags...))
			if flags == nil {
				if len(got) != 0 {
					t.Errorf("%s: %v", name, got)
				}
				continue
			}
			if len(got) < 3 || len(got) > mostExemplars {
				t.Fatalf("%s: %d exemplars", name, len(got))
			}
			for _, x := range got {
				if x.Trace[0] != 0xab || x.Trace[15]&1 == 0 || x.Value != 3 || x.Entity != (evidence.Entity{Service: "api", Operation: "GET /x"}) || time.Since(time.UnixMilli(x.At)).Abs() > time.Minute {
					t.Errorf("%s: %+v", name, x)
				}
			}
			if !slices.IsSortedFunc(got, compareExemplars) {
				t.Error("in no order")
			}
		}
	})
}

func collectExemplars(t *testing.T, url string) []evidence.Exemplar {
	t.Helper()
	c, err := New(Config{URL: url, MaxQueries: 1000, Exemplars: true})
	if err != nil {
		t.Fatal(err)
	}
	awaitScrapes(t, c, 10)
	got := make(chan []evidence.Exemplar)
	go func() { got <- c.Exemplars(t.Context()) }() // asked for before they are known
	now := time.Now()
	if _, err := c.Collect(t.Context(), evidence.Window{Start: now.Add(-4 * time.Second), End: now}); err != nil {
		t.Fatal(err)
	}
	return <-got
}

// Nobody waits for a server that fails, nor beyond his own time.
func TestExemplarsAreNotWaitedFor(t *testing.T) {
	c, err := New(Config{URL: "http://127.0.0.1:1", Exemplars: true})
	if err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.Exemplars(impatient); got != nil {
		t.Errorf("%v", got)
	}
	now := time.Now()
	if _, err := c.Collect(t.Context(), evidence.Window{Start: now.Add(-time.Minute), End: now}); err == nil {
		t.Error("a server that is not there was read")
	}
	if got := c.Exemplars(t.Context()); got != nil {
		t.Errorf("%v", got)
	}
}
