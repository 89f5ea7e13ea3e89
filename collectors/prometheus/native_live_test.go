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

// counting serves requests to GET /x, of ten nine in 0.2 s and one in 3 s, and
// every fourth of them failing, until the test ends.
func counting(t *testing.T, opts instrument.HistogramOpts) (target string) {
	t.Helper()
	opts.Name, opts.Help = "http_server_request_duration_seconds", "h"
	latency := instrument.NewHistogramVec(opts, []string{"http_request_method", "http_route", "http_response_status_code"})
	registry := instrument.NewRegistry()
	registry.MustRegister(latency)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	well, failed := latency.WithLabelValues("GET", "/x", "200"), latency.WithLabelValues("GET", "/x", "500")
	go func() {
		for ctx := t.Context(); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			for i := range 40 {
				to, took := well, 0.2
				if i%4 == 0 {
					to = failed
				}
				if i >= 36 {
					took = 3
				}
				to.Observe(took)
			}
		}
	}()
	return server.Listener.Addr().String()
}

// native is a way in which a histogram reaches a server without buckets.
type native struct {
	release  release
	opts     instrument.HistogramOpts
	global   string // settings of the server
	flags    []string
	widest   float64 // of a bucket, as the ratio of its bounds
	classics bool    // the classic series are scraped as well
	beyond   bool    // the slow ones lie above the last bound, 1 s
}

func natives() map[string]native {
	exponential := instrument.HistogramOpts{NativeHistogramBucketFactor: 1.1}
	both := instrument.HistogramOpts{NativeHistogramBucketFactor: 1.1, Buckets: []float64{0.1, 0.25, 1}}
	const protobuf = "scrape_protocols: [PrometheusProto], "
	return map[string]native{
		"2.42, exponential": {release: releases[0], opts: exponential, flags: []string{"--enable-feature=native-histograms"}, widest: 1.1},
		"3.15, exponential": {release: releases[1], opts: exponential, global: protobuf + "scrape_native_histograms: true, ", widest: 1.1},
		"3.15, exponential beside classic": {release: releases[1], opts: both, widest: 1.1, classics: true,
			global: protobuf + "scrape_native_histograms: true, always_scrape_classic_histograms: true, "},
		"3.15, classic made custom": {release: releases[1], opts: instrument.HistogramOpts{Buckets: []float64{0.15, 0.2, 0.25, 1, 4}}, widest: 4,
			global: "convert_classic_histograms_to_nhcb: true, "},
		"3.15, classic made custom and clipped": {release: releases[1], opts: instrument.HistogramOpts{Buckets: []float64{0.15, 0.25, 1}}, widest: 4, beyond: true,
			global: "convert_classic_histograms_to_nhcb: true, "},
	}
}

// Where a server keeps histograms without buckets there are no _bucket, _count
// and _sum: every classic query would be silently empty.
func TestNativeHistograms(t *testing.T) {
	for name, n := range natives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n.check(t, n.collect(t))
		})
	}
}

func (n native) collect(t *testing.T) *evidence.Bundle {
	t.Helper()
	url := n.release.start(t, t.TempDir(), fmt.Sprintf("global: {%sscrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- {job_name: api, static_configs: [{targets: ['%s']}]}\n",
		n.global, counting(t, n.opts)), n.flags...)
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
	return b
}

func (n native) check(t *testing.T, b *evidence.Bundle) {
	t.Helper()
	x := evidence.Entity{Service: "api", Operation: "GET /x"}
	h := hist(t, b, x)
	if len(h.Times) == 0 || len(h.Rates) != len(h.Times) || len(h.Sum) != len(h.Times) {
		t.Fatalf("%d times, %d rates, %d sums", len(h.Times), len(h.Rates), len(h.Sum))
	}
	n.checkDistribution(t, h)
	total := 0.0
	for _, r := range h.Rates[0] {
		total += r
	}
	// a scrape may fall between two requests of a round
	if mean := h.Sum[0] / total; math.Abs(mean-0.48) > 0.02 {
		t.Errorf("mean %g, want 0.48", mean)
	}
	requests, errors := find(t, b, evidence.ServerRequests, x), find(t, b, evidence.ServerErrors, x)
	if v := requests.Values[0]; math.Abs(v-total) > 0.05*total {
		t.Errorf("%g requests/s, the distribution says %g", v, total)
	}
	if share := errors.Values[0] / requests.Values[0]; math.Abs(share-0.25) > 0.05 {
		t.Errorf("%g of the requests failed, want 0.25", share)
	}
}

// checkDistribution compares quantiles and the share of requests above a bound
// with what was observed. Above the last bound a quantile is "at least".
func (n native) checkDistribution(t *testing.T, h *evidence.Histogram) {
	t.Helper()
	from, to := h.Times[0], h.Times[len(h.Times)-1]+1
	for q, want := range map[float64]float64{0.5: 0.2, 0.99: 3} {
		v, lo, hi := h.Quantile(q, from, to)
		if n.beyond && q > 0.9 {
			if v != 1 || !math.IsInf(hi, 1) {
				t.Errorf("quantile %g is %g in (%g, %g], want at least 1", q, v, lo, hi)
			}
			continue
		}
		if lo > want || hi < want || hi/lo > n.widest+1e-9 || v < lo || v > hi {
			t.Errorf("quantile %g is %g in (%g, %g], want %g", q, v, lo, hi, want)
		}
	}
	slow, all := 0.0, 0.0
	for i, c := range h.Counts(from, to) {
		if all += c; i > 0 && h.Bounds[i-1] >= 0.5 {
			slow += c
		}
	}
	if share := slow / all; math.Abs(share-0.1) > 0.02 {
		t.Errorf("%g of the requests took more than 0.5 s, want 0.1", share)
	}
}
