package prometheus

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// find gives the one series of a kind and entity.
func find(t *testing.T, b *evidence.Bundle, k evidence.Kind, e evidence.Entity) *evidence.Series {
	t.Helper()
	var found *evidence.Series
	for i := range b.Series {
		if s := &b.Series[i]; s.Kind == k && s.Entity == e {
			if found != nil {
				t.Fatalf("%s of %s is there twice: %v, %v", k, e, found.Query, s.Query)
			}
			found = s
		}
	}
	if found == nil {
		t.Fatalf("%s of %s is not there; there are %v", k, e, entities(b, k))
	}
	return found
}

func entities(b *evidence.Bundle, k evidence.Kind) []string {
	var out []string
	for _, s := range b.Series {
		if s.Kind == k {
			out = append(out, fmt.Sprintf("%+v", s.Entity))
		}
	}
	for _, h := range b.Histograms {
		if h.Kind == k {
			out = append(out, fmt.Sprintf("%+v", h.Entity))
		}
	}
	return out
}

func absent(t *testing.T, b *evidence.Bundle, k evidence.Kind) {
	t.Helper()
	if b.Has(k) {
		t.Errorf("%s is there: %v", k, entities(b, k))
	}
}

// steady checks that every value is what it should be, over most of the hour.
func steady(t *testing.T, s *evidence.Series, want float64, unit string) {
	t.Helper()
	if s.Unit != unit {
		t.Errorf("%s of %s is in %q, want %q", s.Kind, s.Entity, s.Unit, unit)
	}
	if len(s.Times) < 230 {
		t.Errorf("%s of %s has %d points", s.Kind, s.Entity, len(s.Times))
	}
	for i, v := range s.Values {
		if math.Abs(v-want) > 1e-9*math.Max(1, math.Abs(want)) {
			t.Fatalf("%s of %s is %g at point %d, want %g (%s)", s.Kind, s.Entity, v, i, want, s.Query)
		}
	}
}

func hist(t *testing.T, b *evidence.Bundle, e evidence.Entity) *evidence.Histogram {
	t.Helper()
	return histogramOf(t, b, evidence.ServerLatency, e)
}

func histogramOf(t *testing.T, b *evidence.Bundle, k evidence.Kind, e evidence.Entity) *evidence.Histogram {
	t.Helper()
	for i := range b.Histograms {
		if h := &b.Histograms[i]; h.Kind == k && h.Entity == e {
			return h
		}
	}
	t.Fatalf("no %s of %+v; there are %v", k, e, entities(b, k))
	return nil
}

// A shop of three ecosystems and its containers, each number known.
func shopPast() *past {
	p := &past{}
	for _, job := range []string{"api", "billing", "cadvisor"} {
		p.gauge(`up{job="`+job+`",instance="a"}`, 1)
	}
	p.gauge(`up{job="api",instance="b"}`, 1)
	for _, i := range []string{"a", "b"} { // OpenTelemetry, two instances
		l := `job="api",instance="` + i + `",http_request_method="GET",http_route="/x",http_response_status_code="200"`
		for le, rate := range map[string]float64{"0.1": 3, "0.25": 4, "1.0": 4, "+Inf": 5} {
			p.counter(`http_server_request_duration_seconds_bucket{`+l+`,le="`+le+`"}`, rate)
		}
		p.counter(`http_server_request_duration_seconds_sum{`+l+`}`, 2.5)
		p.counter(`http_server_request_duration_seconds_count{`+l+`}`, 5)
		quiet := `job="api",instance="` + i + `",http_request_method="GET",http_route="/healthz",http_response_status_code="200"`
		p.counter(`http_server_request_duration_seconds_bucket{`+quiet+`,le="+Inf"}`, 100)
		p.counter(`http_server_request_duration_seconds_count{`+quiet+`}`, 100)
	}
	born := `job="api",instance="a",http_request_method="GET",http_route="/x",http_response_status_code="500"`
	p.add(`http_server_request_duration_seconds_count{`+born+`}`, func(i int) (float64, bool) { return 42, i >= 100 })
	old := `job="billing",instance="a",http_method="POST",http_route="/pay",http_status_code="200"` // milliseconds
	for le, rate := range map[string]float64{"50": 1, "100": 2, "+Inf": 2} {
		p.counter(`http_server_duration_milliseconds_bucket{`+old+`,le="`+le+`"}`, rate)
	}
	p.counter(`http_server_duration_milliseconds_sum{`+old+`}`, 100)
	p.counter(`http_server_duration_milliseconds_count{`+old+`}`, 2)
	p.gauge(`my_app_hikaricp_connections_active{job="billing",instance="a",pool="main"}`, 7)
	p.gauge(`my_app_hikaricp_connections_max{job="billing",instance="a",pool="main"}`, 10)
	p.gauge(`pgxpool_acquired_conns{job="api",instance="a",db_name="d"}`, 3)
	p.gauge(`pgxpool_max_conns{job="api",instance="a",db_name="d"}`, 4)
	p.counter(`pgxpool_acquire_count{job="api",instance="a",db_name="d"}`, 50)
	p.counter(`pgxpool_empty_acquire{job="api",instance="a",db_name="d"}`, 5)
	p.counter(`pgxpool_acquire_duration_ns{job="api",instance="a",db_name="d"}`, 2e9)
	p.gauge(`go_sql_max_open_connections{job="billing",instance="a",db_name="d"}`, 0)
	p.add(`process_cpu_seconds_total{job="billing",instance="a"}`, func(i int) (float64, bool) { return 0.5 * 15 * float64((i+40)%100), true })
	p.add(`process_resident_memory_bytes{job="billing",instance="a"}`, func(i int) (float64, bool) {
		if i%2 == 0 && i >= 0 {
			return math.NaN(), true
		}
		return 1 << 20, true
	})
	shopContainers(p)
	return p
}

func shopContainers(p *past) {
	api := `job="cadvisor",instance="c",id="/shop/api"`
	p.counter(`container_cpu_cfs_periods_total{`+api+`}`, 10)
	p.counter(`container_cpu_cfs_throttled_periods_total{`+api+`}`, 9)
	p.counter(`container_cpu_cfs_throttled_seconds_total{`+api+`}`, 0.7)
	p.gauge(`container_spec_cpu_quota{`+api+`}`, 30000)
	p.gauge(`container_spec_cpu_period{`+api+`}`, 100000)
	p.gauge(`container_spec_memory_limit_bytes{`+api+`}`, 9.223372036854772e18)
	for id, rate := range map[string]float64{"/": 2, "/shop": 0.7, "/shop/api": 0.3, "/system.slice/cron.service": 0.1} {
		p.counter(`container_cpu_usage_seconds_total{job="cadvisor",instance="c",cpu="total",id="`+id+`"}`, rate)
	}
	pod := `container="app",pod="billing-6f7d9c5b4d-x2x7k",namespace="n",id="/kubepods/burstable/pod1/c1",job="cadvisor",instance="c",cpu="total"`
	p.counter(`container_cpu_usage_seconds_total{`+pod+`}`, 0.4)
	p.counter(`container_cpu_usage_seconds_total{pod="billing-6f7d9c5b4d-x2x7k",namespace="n",id="/kubepods/burstable/pod1",job="cadvisor",instance="c",cpu="total"}`, 0.5)
}

func TestShop(t *testing.T) { eachBackend(t, checkShop) }

func checkShop(t *testing.T, on backend) {
	url := on.serve(t, shopPast())
	b, err := collectFrom(t, Config{URL: url, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("latency", func(t *testing.T) { checkLatency(t, b) })
	t.Run("requests", func(t *testing.T) { checkRequests(t, b) })
	t.Run("pools", func(t *testing.T) { checkPools(t, b) })
	t.Run("containers", func(t *testing.T) { checkContainers(t, b) })
	t.Run("processes", func(t *testing.T) { checkProcesses(t, b) })
	t.Run("the same again", func(t *testing.T) {
		again, err := collectFrom(t, Config{URL: url, Timeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		b.Sources[0].Seconds, again.Sources[0].Seconds = 0, 0
		if fmt.Sprintf("%+v", b) != fmt.Sprintf("%+v", again) {
			t.Error("two collections of one past differ")
		}
	})
}

func checkLatency(t *testing.T, b *evidence.Bundle) {
	all := hist(t, b, evidence.Entity{Service: "api", Operation: "GET /x"})
	if fmt.Sprint(all.Bounds) != "[0.1 0.25 1]" || all.Unit != "s" || all.Over != 60 {
		t.Errorf("bounds %v %s over %g s", all.Bounds, all.Unit, all.Over)
	}
	for i, row := range all.Rates {
		if fmt.Sprintf("%.9g", row) != "[6 2 0 2]" || math.Abs(all.Sum[i]-5) > 1e-9 {
			t.Fatalf("rates %v, sum %g at point %d", row, all.Sum[i], i)
		}
	}
	one := hist(t, b, evidence.Entity{Service: "api", Instance: "b"})
	if fmt.Sprintf("%.9g", one.Rates[9]) != "[3 1 0 1]" {
		t.Errorf("instance b: %v", one.Rates[9])
	}
	old := hist(t, b, evidence.Entity{Service: "billing", Operation: "POST /pay"})
	if fmt.Sprint(old.Bounds) != "[0.05 0.1]" || math.Abs(old.Sum[9]-0.1) > 1e-9 {
		t.Errorf("milliseconds are not made seconds: %v, sum %g", old.Bounds, old.Sum[9])
	}
	for _, h := range b.Histograms {
		if strings.Contains(h.Entity.Operation, "healthz") || h.Entity.Service == "billing" && h.Entity.Instance != "" {
			t.Errorf("%+v should not be there", h.Entity)
		}
	}
}

func checkRequests(t *testing.T, b *evidence.Bundle) {
	steady(t, find(t, b, evidence.ServerRequests, evidence.Entity{Service: "billing", Operation: "POST /pay"}), 2, "{request}/s")
	// The first sample of the errors is 42: to rate() alone there were none.
	errs := find(t, b, evidence.ServerErrors, evidence.Entity{Service: "api", Operation: "GET /x"})
	total := 0.0
	for _, v := range errs.Values {
		total += v * 15
	}
	if math.Abs(total-42) > 1e-6 || len(errs.Times) != 141 {
		t.Errorf("%g errors at %d points, want 42 at 141: before the first there is no zero", total, len(errs.Times))
	}
}

func checkPools(t *testing.T, b *evidence.Bundle) {
	main := evidence.Entity{Service: "billing", Instance: "a", Resource: "main"}
	steady(t, find(t, b, evidence.PoolUsed, main), 7, "{connection}")
	steady(t, find(t, b, evidence.PoolMax, main), 10, "{connection}")
	pgx := evidence.Entity{Service: "api", Instance: "a", Resource: "d"}
	steady(t, find(t, b, evidence.PoolUsed, pgx), 3, "{connection}")
	steady(t, find(t, b, evidence.PoolAcquires, pgx), 50, "{acquire}/s")
	steady(t, find(t, b, evidence.PoolWaits, pgx), 5, "{acquire}/s")
	steady(t, find(t, b, evidence.PoolWaitTime, pgx), 2, "1")
	for _, s := range b.Series {
		if s.Kind == evidence.PoolMax && s.Entity.Resource == "d" && s.Entity.Service == "billing" {
			t.Error("an unlimited pool has a limit")
		}
	}
}

func checkContainers(t *testing.T, b *evidence.Bundle) {
	api := evidence.Entity{Service: "api", Instance: "/shop/api", Resource: "api"}
	steady(t, find(t, b, evidence.CPUThrottledRatio, api), 0.9, "1")
	steady(t, find(t, b, evidence.CPUThrottledTime, api), 0.7, "1")
	steady(t, find(t, b, evidence.CPULimit, api), 0.3, "{core}")
	steady(t, find(t, b, evidence.CPUUsage, api), 0.3, "{core}")
	pod := evidence.Entity{Service: "billing", Instance: "billing-6f7d9c5b4d-x2x7k", Resource: "app"}
	steady(t, find(t, b, evidence.CPUUsage, pod), 0.4, "{core}")
	steady(t, find(t, b, evidence.CPUUsage, evidence.Entity{Instance: "/system.slice/cron.service", Resource: "cron.service"}), 0.1, "{core}")
	absent(t, b, evidence.MemoryLimit)
	n := 0
	for _, s := range b.Series {
		if s.Kind == evidence.CPUUsage {
			n++
		}
	}
	if n != 3 { // the process of billing says the same as its container
		t.Errorf("CPU of %d things, want 3: %v", n, entities(b, evidence.CPUUsage))
	}
}

func checkProcesses(t *testing.T, b *evidence.Bundle) {
	mem := find(t, b, evidence.MemoryUsage, evidence.Entity{Service: "billing", Instance: "a"})
	for _, v := range mem.Values {
		if v != 1<<20 {
			t.Fatalf("memory %g", v)
		}
	}
	// VictoriaMetrics keeps no NaN at all, and shows the sample before it
	if len(mem.Times) != 120 && len(mem.Times) != 241 {
		t.Errorf("%d points, want 120, or 241: NaN is no value", len(mem.Times))
	}
}

// A process that starts anew counts from zero: the rate must not fall below
// zero nor leap.
func TestCounterReset(t *testing.T) { eachBackend(t, checkCounterReset) }

func checkCounterReset(t *testing.T, on backend) {
	p := &past{}
	p.gauge(`up{job="a",instance="a"}`, 1)
	p.add(`process_cpu_seconds_total{job="a",instance="a"}`, func(i int) (float64, bool) { return 0.5 * 15 * float64((i+40)%100), true })
	b, err := collectFrom(t, Config{URL: on.serve(t, p), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s := find(t, b, evidence.CPUUsage, evidence.Entity{Service: "a", Instance: "a"})
	for i, v := range s.Values {
		if v < 0.3 || v > 0.5+1e-9 { // one interval of four is lost at each start
			t.Errorf("%g cores at point %d", v, i)
		}
	}
}

// A container that died leaves no mark that it is gone. Prometheus shows its
// last sample for five minutes more, 20 points here; we for the four scrapes of
// the window.
func TestDeadContainer(t *testing.T) { eachBackend(t, checkDeadContainer) }

func checkDeadContainer(t *testing.T, on backend) {
	p := &past{}
	p.add(`container_memory_working_set_bytes{job="c",instance="i",id="/a"}`, func(i int) (float64, bool) { return 7, i <= 100 })
	p.gauge(`container_memory_working_set_bytes{job="c",instance="i",id="/b"}`, 8)
	b, err := collectFrom(t, Config{URL: on.serve(t, p), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	steady(t, find(t, b, evidence.MemoryUsage, evidence.Entity{Instance: "/b", Resource: "b"}), 8, "By")
	dead := find(t, b, evidence.MemoryUsage, evidence.Entity{Instance: "/a", Resource: "a"})
	if n := len(dead.Times); n < 101 || n > 105 {
		t.Errorf("%d points, want 101 to 105", n)
	}
}

// What is scraped every 15 s has a shorter window of rates than what is scraped
// every minute, though both are the same metric.
func TestJobsOfTwoPaces(t *testing.T) { eachBackend(t, checkJobsOfTwoPaces) }

func checkJobsOfTwoPaces(t *testing.T, on backend) {
	p := &past{}
	slow := func(v func(i int) float64) func(int) (float64, bool) {
		return func(i int) (float64, bool) { return v(i), i%4 == 0 }
	}
	for job, pace := range map[string]func(func(int) float64) func(int) (float64, bool){
		"fast": func(v func(int) float64) func(int) (float64, bool) {
			return func(i int) (float64, bool) { return v(i), true }
		},
		"slow": slow,
	} {
		p.add(`up{job="`+job+`",instance="a"}`, pace(func(int) float64 { return 1 }))
		p.add(`process_cpu_seconds_total{job="`+job+`",instance="a"}`, pace(func(i int) float64 { return 1000 + 0.5*15*float64(i) }))
	}
	var last collectors.Event
	b, err := collectFrom(t, Config{URL: on.serve(t, p), Timeout: 20 * time.Second, Progress: func(e collectors.Event) { last = e }})
	if err != nil {
		t.Fatal(err)
	}
	for job, over := range map[string]float64{"fast": 60, "slow": 240} {
		s := find(t, b, evidence.CPUUsage, evidence.Entity{Service: job, Instance: "a"})
		steady(t, s, 0.5, "{core}")
		if s.Over != over {
			t.Errorf("%s is measured over %g s, want %g", job, s.Over, over)
		}
	}
	if !last.End || last.Source != "prometheus" {
		t.Errorf("the last progress is %+v", last)
	}
}

// Two servers scrape the same target and nothing removes the duplicates.
func TestReplicas(t *testing.T) { eachBackend(t, checkReplicas) }

func checkReplicas(t *testing.T, on backend) {
	p := &past{}
	for _, r := range []string{"x", "y"} {
		p.gauge(`up{job="a",instance="a",prometheus_replica="`+r+`"}`, 1)
		p.counter(`http_requests_total{job="a",instance="a",code="200",prometheus_replica="`+r+`"}`, 10)
	}
	b, err := collectFrom(t, Config{URL: on.serve(t, p), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	steady(t, find(t, b, evidence.ServerRequests, evidence.Entity{Service: "a"}), 10, "{request}/s")
}

// What is not measured is a gap with a remedy, what does not apply is a note,
// and neither is a zero.
func TestNothingToSee(t *testing.T) { eachBackend(t, checkNothingToSee) }

func checkNothingToSee(t *testing.T, on backend) {
	p := &past{}
	p.counter(`container_cpu_usage_seconds_total{job="cadvisor",instance="c",id="/a"}`, 1)
	b, err := collectFrom(t, Config{URL: on.serve(t, p), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	absent(t, b, evidence.CPUThrottledRatio)
	absent(t, b, evidence.ServerErrors)
	if notes := strings.Join(b.Sources[0].Notes, "\n"); !strings.Contains(notes, "does not apply: no container has a CPU quota") {
		t.Errorf("notes: %s", notes)
	}
	for _, g := range b.Gaps {
		if g.Remedy == "" || len(g.Kinds) == 0 || strings.Contains(g.Reason, "quota") {
			t.Errorf("gap %+v", g)
		}
	}
	if b.Sources[0].Status != evidence.StatusPartial {
		t.Errorf("status %s", b.Sources[0].Status)
	}
}

// An hour before anything was measured is one gap, not one for each class.
func TestEmptyWindow(t *testing.T) { eachBackend(t, checkEmptyWindow) }

func checkEmptyWindow(t *testing.T, on backend) {
	p := &past{}
	p.gauge(`up{job="a",instance="a"}`, 1)
	c, err := New(Config{URL: on.serve(t, p)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Collect(context.Background(), evidence.Window{Start: anHour.Start.Add(-48 * time.Hour), End: anHour.End.Add(-48 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Gaps) != 1 || b.Gaps[0].Reason != "the server has no metric in the window" || len(b.Series) != 0 {
		t.Errorf("%+v", b.Gaps)
	}
}
