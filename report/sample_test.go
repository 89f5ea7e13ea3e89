package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// sample is one case that reports are made from in tests.
type sample struct {
	objectives []Objective
	name       string
	bundle     *evidence.Bundle
	result     *analyzers.Result
	judged     *rules.Judgement
}

func (s sample) report() *Report {
	r := Build(s.bundle, s.result, s.judged, Options{
		Version: "1.0.0", Command: "culprit analyze pool.culprit --format md,html",
		Links: Links{Prometheus: "https://prometheus.example.org/", Traces: "https://jaeger.example.org/ui"},
	})
	if len(s.objectives) > 0 {
		r.Objectives = JudgeObjectives(s.objectives, 0.8, r, []*Report{calmRun()})
	}
	return r
}

// calmRun is one that passed before.
func calmRun() *Report {
	return &Report{Symptoms: []Symptom{{Service: "payments", Operation: "POST /charge", RPS: 60, P95: 0.02}}}
}

// sampleObjectives end in each way in which one can.
func sampleObjectives() []Objective {
	return []Objective{
		{Name: "orders are quick", Service: "gateway", Operation: "POST /api/orders", Measure: MeasureP95, Max: new(0.3), Weight: 3, Key: true},
		{Name: "charging is as quick as ever", Service: "payments", Operation: "POST /charge", Measure: MeasureP95, Relative: new(0.1), Weight: 1},
		{Name: "few errors anywhere", Measure: MeasureErrors, Max: new(0.5), Weight: 1},
		{Name: "enough products", Service: "gateway", Operation: "GET /api/products", Measure: MeasureRate, Relative: new(0.1), Weight: 1},
		{Name: "search", Operation: "GET /api/search", Measure: MeasureP99, Max: new(1.0), Weight: 1},
	}
}

func samples() []sample {
	return []sample{severalCauses(), noProblem(), inconclusive(), unusable(), lonelySource()}
}

var sampleStart = time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC)

func sampleWindow() evidence.Window {
	return evidence.Window{Start: sampleStart, End: sampleStart.Add(90 * time.Second)}
}

// wave is a line of n points over the window: low at first, high from 30 s on.
func wave(name string, n int, low, high float64) analyzers.Line {
	l := analyzers.Line{Name: name}
	for i := range n {
		t := float64(i) / float64(n)
		v := low
		if t > 0.33 {
			v = high
		}
		l.Times = append(l.Times, sampleStart.UnixMilli()+int64(90_000*t))
		l.Values = append(l.Values, v*(1+0.08*math.Sin(float64(i)*1.7)))
	}
	return l
}

func sampleSymptom(service, operation string, p95, base float64, slow bool) analyzers.Symptom {
	s := analyzers.Symptom{
		Entity: evidence.Entity{Service: service, Operation: operation}, RPS: 42.3, ErrorRatio: 0.0021, P50: p95 / 4, P95: p95, P99: p95 * 1.4,
		P95Low: p95 * 0.8, P95High: p95 * 1.2, BaselineP95: base, Slow: slow, Source: "histograms",
	}
	if slow {
		s.Why = "p95 is 6.1 times that of the first, calm part of the run"
	}
	w := wave("p95", 45, base, p95)
	s.Times, s.P95s = w.Times, w.Values
	s.Onset = &analyzers.Onset{At: sampleStart.UnixMilli() + 30_000, Tolerance: 2000}
	for i := range s.Times {
		s.Rates = append(s.Rates, 20+float64(i))
		s.SlowBins = append(s.SlowBins, slow && i >= 15)
	}
	return s
}

func poolRule() *rules.Rule {
	return &rules.Rule{
		ID: "pool-saturation", Title: "Connection pool too small",
		Doc:      "Requests queue for a connection in the application while the database has sessions to spare. Every request that finds the pool empty waits for another one to finish.",
		Explains: []string{"slow-dependency"},
		Links:    []string{"https://pkg.go.dev/github.com/jackc/pgx/v5/pgxpool", "javascript:alert(1)"},
	}
}

func poolHypothesis() *rules.Hypothesis {
	subject := evidence.Entity{Service: "orders", Resource: "orders-db"}
	f := &analyzers.Finding{
		Kind: "pool.wait", Entity: subject, Value: 0.41, Unit: "s", Baseline: 0.001,
		Text: "A request of orders waited 410 ms for one of 4 connections of orders-db; the pool was full for 97 % of the slow time.",
		Refs: []evidence.Ref{
			{Source: "prometheus", Query: `sum by (service) (rate(pgxpool_acquire_duration_seconds_total{service="orders"}[15s]))`},
			{Source: "traces", Trace: "4bf92f3577b34da6a3ce929d0e0e4736"}, {Source: "traces", Trace: "00f067aa0ba902b700f067aa0ba902b7"}, {Source: "traces", Trace: "not hex"},
		},
		Charts: []analyzers.Chart{
			{Title: "Connections of orders-db in use", Unit: "{connection}", Lines: []analyzers.Line{wave("in use", 90, 1.2, 3.9), wave("idle", 90, 2.8, 0.1)}, Limit: 4, LimitName: "pool size"},
			{Title: "Time waited for a connection", Unit: "s", Lines: []analyzers.Line{wave("per request", 90, 0.001, 0.41)}},
			{Title: "Active sessions in PostgreSQL by wait", Unit: "{session}", Stacked: true, Lines: []analyzers.Line{wave("CPU", 90, 0.5, 0.9), wave("Client:ClientRead", 90, 0.6, 2.1), wave("IO:DataFileRead", 90, 0.05, 0.3)}, Limit: 2, LimitName: "cores"},
		},
		Warnings: []string{"wait time is a mean over 15 s"},
		Onset:    &analyzers.Onset{At: sampleStart.UnixMilli() + 29_000, Tolerance: 2000},
	}
	flat := &analyzers.Finding{Kind: "db.statement.change", Entity: subject, Value: 1.04, Unit: "1", Baseline: 1, Text: "The mean of the statements did not change: 1.9 ms before, 2.0 ms now.",
		Refs: []evidence.Ref{{Source: "postgres", Query: "select queryid, calls, total_exec_time\nfrom pg_stat_statements\norder by total_exec_time desc\nlimit 20"}}}
	return &rules.Hypothesis{
		Rule: poolRule(), Subject: subject, Score: 0.91, Fingerprint: "pool-saturation/orders/orders-db", Finding: f, Victims: []evidence.Entity{{Service: "orders", Operation: "POST /orders"}, {Service: "gateway", Operation: "POST /api/orders"}},
		Verify:  "Set the size, run the same load again: `pool.wait.time` falls to nothing and `pg_stat_activity` shows more than 4 active sessions. If the wait only moves into the database, this was not it.",
		NotWhen: "The database is short of CPU, or `max_connections` divided by the number of replicas leaves no room.",
		Impact:  &analyzers.Impact{Operation: evidence.Entity{Service: "gateway", Operation: "POST /api/orders"}, Percentile: 0.95, Now: 0.81, Then: 0.24, Low: 0.5, High: 0.62, Method: "what-if on 312 traces", Distribution: sampleDistribution()},
		Account: []rules.Entry{
			{Condition: rules.Condition{Finding: "pool.wait", Weight: 1}, For: true, Verdict: rules.Present, Strength: 1, Finding: f},
			{Condition: rules.Condition{Finding: "pool.full", Weight: 0.6}, For: true, Verdict: rules.Present, Strength: 0.97, Text: "The pool was at its limit of 4 for 97 % of the slow time and 2 % of the rest."},
			{Condition: rules.Condition{Finding: "db.statement.change", Weight: 0.5}, For: false, Verdict: rules.Absent, Strength: 0, Finding: flat},
			{Condition: rules.Condition{Finding: "pool.timeouts", Weight: 0.2}, For: true, Verdict: rules.Unknown},
		},
		Remedy: []string{"Raise `pool_max_conns` of orders from 4 to 12: at 61 requests/s each holding a connection for 130 ms, 8 are needed and a half more for bursts.", "Then look at the next limit: PostgreSQL has 2 cores.", ""},
	}
}

// sampleDistribution has a tail that goes with the wait.
func sampleDistribution() []analyzers.Quantile {
	var out []analyzers.Quantile
	for k := 1; k < 40; k++ {
		share := float64(k) / 40
		out = append(out, analyzers.Quantile{Share: share, Now: 0.08 + 0.85*share*share*share, Then: 0.07 + 0.2*share*share*share})
	}
	return append(out, analyzers.Quantile{Share: 0.99, Now: 1.2, Then: 0.31})
}

func nPlusOneHypothesis() *rules.Hypothesis {
	subject := evidence.Entity{Service: "catalog", Operation: "GET /products", Resource: "SELECT * FROM stock WHERE product_id = $1"}
	return &rules.Hypothesis{
		Rule: &rules.Rule{ID: "n-plus-one", Title: "N+1: one call a row", Doc: "The service asks for each row of a list on its own, one after the other."}, Verify: "Count the calls per request after the change: 2 instead of 41.",
		Subject: subject, Score: 0.72, Fingerprint: "n-plus-one/catalog/1b2c", Remedy: []string{"Ask for all rows at once: `SELECT * FROM stock WHERE product_id = ANY($1)`, in `catalog/list.go:88`."},
		Impact: &analyzers.Impact{Operation: evidence.Entity{Service: "gateway", Operation: "GET /api/products"}, Percentile: 0.95, Now: 0.312, Then: 0.098, Low: 0.18, High: 0.24, Method: "what-if on 88 traces"},
		Account: []rules.Entry{
			{Condition: rules.Condition{Finding: "calls.repeated", Weight: 1}, For: true, Verdict: rules.Present, Strength: 0.9, Finding: &analyzers.Finding{Kind: "calls.repeated", Value: 41, Unit: "{call}", Text: "41 equal calls a request, one after the other, in 96 % of the requests.",
				Charts: []analyzers.Chart{{Title: "Calls per request", Unit: "{call}", Lines: []analyzers.Line{wave("stock by product", 45, 40, 41)}}}}},
			{Condition: rules.Condition{Finding: "calls.parallel", Weight: 0.5}, For: false, Verdict: rules.Present, Strength: 0.3, Text: "3 % of the calls run side by side."},
		},
	}
}

func severalCauses() sample {
	pool, n1 := poolHypothesis(), nPlusOneHypothesis()
	n1.Account[0].Finding.Refs = []evidence.Ref{{Source: "traces", Trace: "4bf92f3577b34da6a3ce929d0e0e4736"}}
	slowDep := &rules.Hypothesis{Rule: &rules.Rule{ID: "slow-dependency", Title: "Slow dependency"}, Subject: evidence.Entity{Service: "gateway", Operation: "POST /api/orders", Resource: "orders"}, Score: 0.5}
	swallowed := &rules.Hypothesis{Rule: &rules.Rule{ID: "queue-backlog", Title: "Queue backlog"}, Subject: evidence.Entity{Service: "orders"}}
	pool.Explains = []*rules.Hypothesis{slowDep, swallowed}
	return sample{
		name: "several-causes", objectives: sampleObjectives(),
		bundle: &evidence.Bundle{
			Version: "1.0.0", Window: sampleWindow(), Baseline: &evidence.Window{Start: sampleStart.Add(-time.Hour), End: sampleStart.Add(-59 * time.Minute)},
			Sources: []evidence.Source{
				{Name: "prometheus", Status: evidence.StatusOK, Target: "http://prometheus:9090", Version: "2.42.0", Requests: 121, Items: 412, Seconds: 1.31},
				{Name: "traces", Status: evidence.StatusOK, Target: "http://jaeger:16686", Version: "1.76.0", Protocol: "gRPC api_v3", Requests: 31, Items: 24816, Seconds: 4.2, Notes: []string{"kept 1,500 of 4,210 traces, the slow ones in full"}},
				{Name: "postgres", Status: evidence.StatusPartial, Target: "db:5432/shop", Version: "15.18", Items: 212, Seconds: 90.4},
			},
			Gaps:   []evidence.Gap{{Source: "postgres", Kinds: []evidence.Kind{evidence.PGIndexAdvice}, Reason: "the extension hypopg is not installed: hypothetical indexes could not be tried", Remedy: "`CREATE EXTENSION hypopg` in the database shop"}},
			Loads:  []evidence.LoadRun{sampleLoad()},
			Events: sampleEvents(),
			Spans:  sampleSpans(),
		},
		result: &analyzers.Result{
			Facts: &analyzers.Facts{
				Traces:   analyzers.BuildTraces(&evidence.Bundle{Spans: sampleSpans()}),
				Symptoms: []analyzers.Symptom{sampleSymptom("gateway", "POST /api/orders", 0.81, 0.13, true), sampleSymptom("gateway", "GET /api/products", 0.312, 0.09, true), sampleSymptom("payments", "POST /charge", 0.021, 0.02, false)},
				Slow:     []analyzers.Symptom{sampleSymptom("gateway", "POST /api/orders", 0.81, 0.13, true), sampleSymptom("gateway", "GET /api/products", 0.312, 0.09, true)},
			},
			Scalability: sampleScalability(),
			Limits: []analyzers.Limit{
				{Resource: evidence.Entity{Service: "orders", Resource: "orders-db"}, What: "connections of the pool", Peak: 1, Seen: 61, Rate: 38, Low: 36, High: 41, Reached: sampleStart.Add(30 * time.Second).UnixMilli(), Query: "pgxpool_acquired_conns"},
				{Resource: evidence.Entity{Resource: "node-1"}, What: "cores of the node", Peak: 0.61, Seen: 61, Rate: 97, Low: 90, High: 108},
			},
			Skips: []analyzers.Skip{{Analyzer: "cpu-throttling", Missing: []evidence.Kind{evidence.CPUThrottledRatio}, Finds: []analyzers.Kind{"cpu.throttled"}}},
		},
		judged: &rules.Judgement{
			Status: rules.CausesFound, Headline: "POST /api/orders p95 went from 130 ms to 810 ms; requests queue for 4 connections of orders-db, and a pool of 12 would save 570 ms.",
			Causes:       []*rules.Hypothesis{pool, n1, slowDep},
			Rejected:     []rules.Rejected{{Rule: "cpu-saturation", Subject: evidence.Entity{Resource: "node-1"}, Reason: "the node used 61 % of its 2 cores at most, below 85 %"}, {Rule: "missing-index", Subject: evidence.Entity{Resource: "order_items"}, Reason: "4 blocks a call: the statement is cheap"}},
			Housekeeping: []*rules.Hypothesis{{Rule: &rules.Rule{ID: "oversized-resources", Title: "Unused index"}, Subject: evidence.Entity{Resource: "order_items_note_idx"}, Finding: &analyzers.Finding{Text: "No scan since the counters began; 18 MB and one write more for each row."}, Remedy: []string{"`DROP INDEX CONCURRENTLY order_items_note_idx`"}}},
		},
	}
}

func sampleLoad() evidence.LoadRun {
	at := func(s int) int64 { return sampleStart.UnixMilli() + int64(s)*1000 }
	return evidence.LoadRun{
		Tool: "k6", Command: "k6 run shop.js", ExitCode: 99, Start: at(0), End: at(90),
		Stages:   []evidence.Stage{{Name: "ramp", Start: at(0), End: at(30), Target: 60}, {Name: "plateau", Start: at(30), End: at(80), Target: 60}, {Name: "down", Start: at(80), End: at(90)}},
		Requests: []evidence.LoadStat{{Count: 4800, Failed: 10, P50: 0.14, P95: 0.84, P99: 1.2, Max: 2.1}},
		Modules: []evidence.LoadModule{
			{Name: "checkout", Start: at(30), End: at(90), Requests: []evidence.LoadStat{{Count: 3100, Failed: 10, P95: 0.84}, {Name: "POST /api/orders", Count: 3100, Failed: 10, P95: 0.84}}},
			{Name: "browse", Start: at(0), End: at(60), Requests: []evidence.LoadStat{{Count: 1700, P95: 0.33}, {Name: "GET /api/products", Count: 1700, P95: 0.33}}},
			{Name: "health probe of the operators", Start: at(0), End: at(90), Requests: []evidence.LoadStat{{Count: 9, P95: 0.004}, {Name: "GET /healthz", Count: 9, P95: 0.004}}},
		},
		Checks: []evidence.Threshold{{Metric: "http_req_duration", Expr: "p(95)<300"}},
	}
}

func noProblem() sample {
	s := sampleSymptom("gateway", "GET /api/products", 0.041, 0, false)
	return sample{
		name:   "no-problem",
		bundle: &evidence.Bundle{Window: sampleWindow(), Sources: []evidence.Source{{Name: "prometheus", Status: evidence.StatusOK, Items: 10}, {Name: "traces", Status: evidence.StatusOK}, {Name: "postgres", Status: evidence.StatusOK}}, Loads: []evidence.LoadRun{{Tool: "locust"}}},
		result: &analyzers.Result{Facts: &analyzers.Facts{Symptoms: []analyzers.Symptom{s}}},
		judged: &rules.Judgement{Status: rules.NoProblem},
	}
}

func inconclusive() sample {
	lead := nPlusOneHypothesis()
	lead.Score, lead.Impact = 0.31, nil
	second := *lead // the same title twice
	second.Subject.Operation = "GET /search"
	sym := sampleSymptom("catalog", "GET /products", 10, 0.2, true)
	sym.P95Low, sym.P95High = 10, 0
	return sample{
		name: "inconclusive",
		bundle: &evidence.Bundle{Window: sampleWindow(), Sources: []evidence.Source{{Name: "prometheus", Status: evidence.StatusOK, Items: 412}, {Name: "traces", Status: evidence.StatusFailed}},
			Gaps: []evidence.Gap{{Source: "traces", Kinds: []evidence.Kind{evidence.Spans}, Reason: "connect to jaeger:16686: connection refused", Remedy: "check that the address is Jaeger's query port"}}},
		result: &analyzers.Result{Facts: &analyzers.Facts{Symptoms: []analyzers.Symptom{sym}, Slow: []analyzers.Symptom{sym}}},
		judged: &rules.Judgement{Status: rules.Inconclusive, Notes: []string{"Without traces no saving can be predicted, so that no score is above 0.6."}, Leads: []*rules.Hypothesis{lead, &second}},
	}
}

func unusable() sample {
	return sample{
		name:   "run-unusable",
		bundle: &evidence.Bundle{Window: sampleWindow(), Gaps: []evidence.Gap{{Source: "load", Reason: "the generator dropped 31 % of its iterations", Remedy: "give it more virtual users"}}},
		result: &analyzers.Result{},
		judged: &rules.Judgement{Status: rules.RunUnusable, Headline: "The load generator could not keep up: 31 % of the iterations were dropped."},
	}
}

// lonelySource has one source, no histograms, and numbers that are none.
func lonelySource() sample {
	sym := sampleSymptom("shop", "GET /", math.NaN(), math.Inf(1), true)
	h := poolHypothesis()
	h.Impact = nil
	h.Finding.Charts[1].Lines[0].Values[3] = math.NaN()
	return sample{
		name:   "one-source",
		bundle: &evidence.Bundle{Window: sampleWindow(), Sources: []evidence.Source{{Name: "postgres", Status: evidence.StatusOK, Subset: true, Notes: []string{"one snapshot only: counters speak for 3 h"}}}},
		result: &analyzers.Result{Facts: &analyzers.Facts{Symptoms: []analyzers.Symptom{sym}, Slow: []analyzers.Symptom{sym}}},
		judged: &rules.Judgement{Status: rules.CausesFound, Causes: []*rules.Hypothesis{h}},
	}
}

// wide has n charts, each with three lines of 360 points.
func wide(n int) sample {
	s := severalCauses()
	var causes []*rules.Hypothesis
	for k := range (n + chartsPerCause - 1) / chartsPerCause {
		h := poolHypothesis()
		h.Subject.Resource = fmt.Sprintf("pool-%d", k)
		h.Finding.Charts = nil
		for c := range chartsPerCause {
			h.Finding.Charts = append(h.Finding.Charts, analyzers.Chart{Title: fmt.Sprintf("chart %d.%d", k, c), Unit: "s", Lines: []analyzers.Line{wave("a", 360, 0.1, 0.5), wave("b", 360, 0.2, 0.9), wave(strings.Repeat("c", 30), 360, 0.3, 0.7)}})
		}
		causes = append(causes, h)
	}
	s.judged.Causes = causes
	return s
}

// sampleSpans is the trace that is drawn, and forty more of the same request:
// most get a connection at once.
func sampleSpans() []evidence.Span {
	spans := sampleTrace()
	for n := range byte(40) {
		wait := int64(20 + n)
		if n >= 34 {
			wait = 400 + 10*int64(n)
		}
		id := evidence.TraceID{0: 0xaa, 15: n}
		at := sampleStart.Add(time.Duration(n) * 2 * time.Second).UnixNano()
		span := func(k, parent byte, kind evidence.SpanKind, service, name, system string, start, ms int64) {
			s := evidence.Span{Trace: id, ID: evidence.SpanID{7: k}, Parent: evidence.SpanID{7: parent}, Kind: kind, Start: at + start*1e6, End: at + (start+ms)*1e6, Service: service, Name: name}
			if system != "" {
				s.Attrs = evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: system})
			}
			spans = append(spans, s)
		}
		span(1, 0, evidence.KindServer, "gateway", "POST /api/orders", "", 0, wait+60)
		span(2, 1, evidence.KindClient, "gateway", "POST", "", 2, wait+56)
		span(3, 2, evidence.KindServer, "orders", "POST /orders", "", 4, wait+50)
		span(4, 3, evidence.KindClient, "orders", "pool.acquire", "postgresql", 5, wait)
		span(5, 3, evidence.KindClient, "orders", "INSERT orders", "postgresql", 6+wait, 30)
	}
	return spans
}

// sampleTrace is a request that waits for a connection, then makes five equal
// calls.
func sampleTrace() []evidence.Span {
	id, _ := evidence.ParseTraceID("4bf92f3577b34da6a3ce929d0e0e4736")
	span := func(n, parent byte, service, name string, start, ms int64) evidence.Span {
		at := sampleStart.Add(50*time.Second).UnixNano() + start*1e6
		return evidence.Span{Trace: id, ID: evidence.SpanID{7: n}, Parent: evidence.SpanID{7: parent}, Start: at, End: at + ms*1e6, Service: service, Name: name}
	}
	spans := []evidence.Span{
		span(1, 0, "gateway", "POST /api/orders", 0, 830), span(2, 1, "orders", "POST /orders", 4, 820),
		span(3, 2, "orders", "pool.acquire", 5, 612), span(4, 2, "orders", "INSERT orders", 618, 12), span(20, 2, "payments", "POST /charge", 700, 90),
	}
	for i := range byte(5) {
		spans = append(spans, span(5+i, 2, "orders", "INSERT order_items", 632+int64(i)*9, 8))
	}
	spans[9].Error = true
	return spans
}

func sampleScalability() *analyzers.Scalability {
	at := func(v, low, high float64) analyzers.Between { return analyzers.Between{Value: v, Low: low, High: high} }
	return &analyzers.Scalability{Slices: 45, Levels: 9, Seen: 31, SeenRate: 61, Each: at(11, 10.4, 11.6), Contend: at(0.08, 0.06, 0.1), Coherency: at(0.0021, 0.0017, 0.0026), Peak: at(20.9, 19.1, 23.2), PeakRate: at(63, 60, 66)}
}
