package prometheus

import (
	"context"
	"fmt"
	"math"
	"net/http/httptest"
	"testing"
	"time"

	instrument "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A service that has only native histograms, scraped by a real server.
func TestNativeHistograms(t *testing.T) {
	program(t, "prometheus")
	latency := instrument.NewHistogramVec(instrument.HistogramOpts{Name: "http_server_request_duration_seconds", Help: "h",
		NativeHistogramBucketFactor: 1.1}, []string{"http_request_method", "http_route"})
	registry := instrument.NewRegistry()
	registry.MustRegister(latency)
	target := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer target.Close()
	go func() {
		for ctx := t.Context(); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			for range 9 {
				latency.WithLabelValues("GET", "/x").Observe(0.2)
			}
			latency.WithLabelValues("GET", "/x").Observe(3)
		}
	}()
	url := startPrometheus(t, t.TempDir(), fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- {job_name: api, static_configs: [{targets: ['%s']}]}\n", target.Listener.Addr()),
		"--enable-feature=native-histograms")
	c, err := New(Config{URL: url, MaxQueries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	awaitScrapes(t, c, 10)
	now := time.Now()
	b, err := c.Collect(context.Background(), evidence.Window{Start: now.Add(-4 * time.Second), End: now})
	if err != nil {
		t.Fatal(err)
	}
	h := hist(t, b, evidence.Entity{Service: "api", Operation: "GET /x"})
	from, to := h.Times[0], h.Times[len(h.Times)-1]+1
	for q, want := range map[float64]float64{0.5: 0.2, 0.99: 3} {
		v, lo, hi := h.Quantile(q, from, to)
		if lo > want || hi < want || hi/lo > 1.1 || v < lo || v > hi {
			t.Errorf("quantile %g is %g in (%g, %g], want %g", q, v, lo, hi, want)
		}
	}
	count := 0.0
	for _, r := range h.Rates[0] {
		count += r
	}
	if mean := h.Sum[0] / count; math.Abs(mean-0.48) > 1e-6 {
		t.Errorf("mean %g, want 0.48", mean)
	}
}

// Custom bounds, a resolution that was lowered on the way, an overflow and a
// zero bucket: nothing observed is lost.
func TestFillNative(t *testing.T) {
	in := []nativeSample{
		{Time: 1, Count: 7, Sum: 9, Buckets: []nativeBucket{{Lower: -0.001, Upper: 0.001, Count: 1, Rule: 3}, {Lower: 1, Upper: 2, Count: 2}, {Lower: 2, Upper: 4, Count: 4}}},
		{Time: 2, Count: 8, Sum: 9, Buckets: []nativeBucket{{Lower: 1, Upper: 4, Count: 6}, {Lower: 4, Upper: math.Inf(1), Count: 2}}},
		{Time: 3, Count: math.NaN(), Sum: math.NaN()},
		{Time: 4, Count: 0, Sum: 0},
	}
	h := evidence.Histogram{}
	if !fillNative(&h, in, 1000) {
		t.Fatal("nothing")
	}
	if got := fmt.Sprint(h.Bounds, h.Times, h.Rates, h.Sum); got != "[1 1000 2000 4000] [1 2 4] [[1 0 2 4 0] [0 0 2 4 2] [0 0 0 0 0]] [9000 9000 0]" {
		t.Error(got)
	}
}

func TestFillNativeThins(t *testing.T) {
	s := nativeSample{Time: 1}
	for i := range 200 {
		s.Buckets = append(s.Buckets, nativeBucket{Lower: math.Pow(1.1, float64(i)), Upper: math.Pow(1.1, float64(i+1)), Count: 1})
	}
	h := evidence.Histogram{}
	if !fillNative(&h, []nativeSample{s}, 1) || len(h.Bounds) > maxNativeBounds {
		t.Fatalf("%d bounds", len(h.Bounds))
	}
	total := 0.0
	for _, c := range h.Rates[0] {
		total += c
	}
	if math.Abs(total-200) > 1e-9 {
		t.Errorf("%g of 200 observations are left", total)
	}
	if v, _, _ := evidence.QuantileOf(h.Bounds, h.Rates[0], 0.5); math.Abs(math.Log(v)/math.Log(1.1)-100) > 2 {
		t.Errorf("the median moved to %g", v)
	}
}
