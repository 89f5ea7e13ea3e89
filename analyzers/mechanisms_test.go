package analyzers

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// repeat tells n copies of a request, one second apart, made by tale.
func repeat(t testing.TB, n int, tale func(i int) string) []evidence.Span {
	t.Helper()
	var text strings.Builder
	for i := range n {
		text.WriteString(tale(i))
		text.WriteString("\n\n")
	}
	spans := tellSpans(t, text.String())
	trace, at := evidence.TraceID{}, int64(-1)
	for i := range spans {
		if spans[i].Trace != trace {
			trace, at = spans[i].Trace, at+1
		}
		spans[i].Start += at * int64(time.Second)
		spans[i].End += at * int64(time.Second)
	}
	return spans
}

// steady is a series of one value, a point a second for a minute.
func steady(k evidence.Kind, e evidence.Entity, value float64) evidence.Series {
	s := evidence.Series{Kind: k, Entity: e, Query: string(k)}
	for t := range 60 {
		s.Times, s.Values = append(s.Times, int64(t)*1000), append(s.Values, value)
	}
	return s
}

func minute(b *evidence.Bundle) *evidence.Bundle {
	b.Window = evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(60_000)}
	b.Sort()
	return b
}

func found(t testing.TB, r *Result, k Kind) *Finding {
	t.Helper()
	for i := range r.Findings {
		if r.Findings[i].Kind == k {
			return &r.Findings[i]
		}
	}
	return nil
}

func wantSaving(t testing.TB, f *Finding, low, high float64) {
	t.Helper()
	if f == nil || f.Impact == nil {
		t.Fatal("no finding with an impact")
	}
	if s := f.Impact.Saved(); s < low || s > high {
		t.Errorf("saves %.3f s, want %.3f to %.3f", s, low, high)
	}
}

func TestPoolWaitIsTakenOutOfTheGapBeforeTheStatement(t *testing.T) {
	pool := evidence.Entity{Service: "shop", Resource: "main"}
	b := minute(&evidence.Bundle{
		Spans: repeat(t, 40, func(int) string {
			return "0-100 shop server GET /a\n  82-92 shop client SELECT | db.system.name=postgresql | db.query.text=select 1"
		}),
		Series: []evidence.Series{steady(evidence.PoolMax, pool, 4), steady(evidence.PoolUsed, pool, 4), steady(evidence.PoolAcquires, pool, 50),
			steady(evidence.PoolWaits, pool, 45), steady(evidence.PoolWaitTime, pool, 4)},
	})
	r := Run(b)
	f := found(t, r, FindPoolWait)
	wantSaving(t, f, 0.075, 0.085) // 80 ms an acquire by the counters
	if f.Facts["max"] != "4" || found(t, r, FindPoolUse).Value != 1 {
		t.Errorf("facts %v", f.Facts)
	}
}

func TestAPoolersWaitLiesWithinTheStatements(t *testing.T) {
	pooler := evidence.Entity{Resource: "pgbouncer/main"}
	waits := steady(evidence.PoolWaitTime, pooler, 4)
	waits.Query = "SHOW STATS: total_wait_time"
	b := minute(&evidence.Bundle{
		Spans: repeat(t, 40, func(int) string {
			return "0-110 shop server GET /a\n  2-102 shop client SELECT | db.system.name=postgresql | culprit.db.key=k1\n  103-105 shop client SELECT | db.system.name=postgresql | culprit.db.key=k2"
		}),
		Series: []evidence.Series{steady(evidence.PoolMax, pooler, 4), steady(evidence.PoolUsed, pooler, 4), steady(evidence.PoolAcquires, pooler, 50), waits},
	})
	f := found(t, Run(b), FindPoolWait)
	wantSaving(t, f, 0.079, 0.081)
	if f.Facts["service"] != "pgbouncer/main" || !strings.Contains(f.Facts["setting"], "pgbouncer.ini") {
		t.Errorf("facts %v", f.Facts)
	}
}

// Those who queue for long make the tail: what a statement takes beyond its
// need, as far as the pooler's own total covers it.
func TestAPoolersWaitIsLongestForTheUnlucky(t *testing.T) {
	pooler := evidence.Entity{Resource: "pgbouncer/main"}
	for waited, saved := range map[float64]float64{0.03: 0.18, 0.015: 0.08} { // s/s: ten requests of a minute waited 180 ms
		b := minute(&evidence.Bundle{
			Spans: repeat(t, 40, func(i int) string {
				if i%4 > 0 {
					return "0-30 shop server GET /a\n  2-22 shop client SELECT | db.system.name=postgresql | culprit.db.key=k1"
				}
				return "0-210 shop server GET /a\n  2-202 shop client SELECT | db.system.name=postgresql | culprit.db.key=k1"
			}),
			Series: []evidence.Series{steady(evidence.PoolMax, pooler, 4), steady(evidence.PoolUsed, pooler, 4), steady(evidence.PoolAcquires, pooler, 1), steady(evidence.PoolWaitTime, pooler, waited)},
		})
		wantSaving(t, found(t, Run(b), FindPoolWait), saved-0.01, saved+0.01)
	}
}

func TestAPoolNobodyWaitsForSavesNothing(t *testing.T) {
	pool := evidence.Entity{Service: "shop", Resource: "main"}
	b := minute(&evidence.Bundle{
		Spans: repeat(t, 40, func(int) string {
			return "0-100 shop server GET /a\n  82-92 shop client SELECT | db.system.name=postgresql | db.query.text=select 1"
		}),
		Series: []evidence.Series{steady(evidence.PoolMax, pool, 4), steady(evidence.PoolUsed, pool, 1), steady(evidence.PoolAcquires, pool, 50),
			steady(evidence.PoolWaits, pool, 0), steady(evidence.PoolWaitTime, pool, 0)},
	})
	if f := found(t, Run(b), FindPoolWait); f.Value != 0 || f.Impact != nil && f.Impact.Saved() != 0 {
		t.Errorf("waits %g s, impact %+v", f.Value, f.Impact)
	}
}

func TestThrottlingIsChargedOnlyToItsOwnRequests(t *testing.T) {
	// every third request is stalled for 60 ms in its own code
	tale := func(i int) string {
		if i%3 == 0 {
			return "0-80 api server GET /a"
		}
		return "0-20 api server GET /a"
	}
	box := evidence.Entity{Service: "api", Resource: "box"}
	bundle := func(e evidence.Entity) *evidence.Bundle {
		return minute(&evidence.Bundle{Spans: repeat(t, 60, tale), Series: []evidence.Series{
			steady(evidence.CPUThrottledRatio, e, 0.5), steady(evidence.CPULimit, e, 0.3), steady(evidence.CPUUsage, e, 0.29)}})
	}
	f := found(t, Run(bundle(box)), FindThrottled)
	wantSaving(t, f, 0.058, 0.060)
	if f.Facts["limit"] != "0.30" {
		t.Errorf("limit %q", f.Facts["limit"])
	}
	if f := found(t, Run(bundle(evidence.Entity{Service: "sidecar", Resource: "box"})), FindThrottled); f.Impact != nil {
		t.Errorf("a throttled container that no request waits for has an impact: %+v", f.Impact)
	}
}

func scanBundle(t testing.TB, table evidence.PGTable, s evidence.Statement) *evidence.Bundle {
	s.Key, s.QueryID, s.TopLevel, s.Tables = "k1", "7", true, []string{table.Name}
	return minute(&evidence.Bundle{
		Spans: repeat(t, 40, func(int) string {
			return "0-100 api server GET /a\n  10-90 api client SELECT | db.system.name=postgresql | culprit.db.key=k1"
		}),
		Postgres: []evidence.Postgres{{Server: evidence.PGServer{Name: "db"}, Statements: []evidence.Statement{s}, Tables: []evidence.PGTable{table}}},
	})
}

func TestMissingIndex(t *testing.T) {
	big := evidence.PGTable{Name: "things", RelTuples: 300_000, SeqRead: 300_000 * 400, Bytes: 4000 * 8192}
	sick := evidence.Statement{Calls: 400, Rows: 4000, Exec: 32, Hit: 4000 * 400}
	f := found(t, Run(scanBundle(t, big, sick)), FindStatementScan)
	wantSaving(t, f, 0.075, 0.080)
	if f.Entity.Service != "api" || f.Entity.Operation != "GET /a" || f.Entity.Resource != "things" {
		t.Errorf("subject %+v", f.Entity)
	}
	for name, tt := range map[string]struct {
		table evidence.PGTable
		s     evidence.Statement
	}{
		"served by an index":     {big, evidence.Statement{Calls: 400, Rows: 4000, Exec: 1, Hit: 24 * 400}},
		"reads most of it":       {big, evidence.Statement{Calls: 400, Rows: 290_000 * 400, Exec: 32, Hit: 4000 * 400}},
		"too few calls":          {big, evidence.Statement{Calls: 5, Rows: 50, Exec: 1, Hit: 4000 * 5}},
		"a small table":          {evidence.PGTable{Name: "things", RelTuples: 900, SeqRead: 900 * 400, Bytes: 60 * 8192}, evidence.Statement{Calls: 400, Rows: 400, Exec: 1, Hit: 60 * 400}},
		"adds it all up":         {big, evidence.Statement{Calls: 400, Rows: 4000, Exec: 32, Hit: 4000 * 400, Text: "SELECT kind, count(*) FROM things GROUP BY kind"}},
		"others scan it, not it": {evidence.PGTable{Name: "things", RelTuples: 300_000, SeqRead: 0, Bytes: 4000 * 8192}, sick},
	} {
		t.Run(name, func(t *testing.T) {
			if f := found(t, Run(scanBundle(t, tt.table, tt.s)), FindStatementScan); f != nil {
				t.Errorf("found %s", f.Text)
			}
		})
	}
}

// Without hypopg the planner still tells how many rows a condition leaves.
func TestMissingIndexOfWhatIsAddedUp(t *testing.T) {
	big := evidence.PGTable{Name: "things", RelTuples: 300_000, SeqRead: 300_000 * 400, Bytes: 4000 * 8192}
	sums := evidence.Statement{Calls: 400, Rows: 400, Exec: 32, Hit: 4000 * 400, Text: "SELECT sum(price) FROM things WHERE owner = ?"}
	for rows, want := range map[float64]bool{0: false, 60: true, 150_000: false} {
		b := scanBundle(t, big, sums)
		b.Postgres[0].Advice = []evidence.IndexAdvice{{QueryID: "7", Table: "things", Columns: []string{"owner"}, Rows: rows}}
		if f := found(t, Run(b), FindStatementScan); (f != nil) != want {
			t.Errorf("%.0f rows expected: found %v", rows, f)
		}
	}
}

func TestIndexContentionNamesTheIndexes(t *testing.T) {
	pg := evidence.Postgres{Server: evidence.PGServer{Name: "db"}, Ticks: 100,
		Statements: []evidence.Statement{{Key: "k1", QueryID: "7", TopLevel: true, Calls: 1000, Exec: 60, Text: "INSERT INTO log VALUES ($1)", Tables: []string{"log"}}},
		Indexes:    []evidence.PGIndex{{Table: "log", Name: "log_at", Monotonic: true, Valid: true}, {Table: "log", Name: "log_kind", Valid: true}, {Table: "log", Name: "log_pkey", Monotonic: true, Primary: true, Unique: true, Valid: true}},
		Activity: []evidence.WaitSample{
			{At: 1000, Ticks: 100, Sessions: 300, State: "active", WaitType: "LWLock", Wait: "BufferContent", QueryID: "7"},
			{At: 1000, Ticks: 100, Sessions: 100, State: "active", QueryID: "7"}}}
	b := minute(&evidence.Bundle{Postgres: []evidence.Postgres{pg}, Spans: repeat(t, 40, func(int) string {
		return "0-100 api server POST /a\n  0-100 api client INSERT | db.system.name=postgresql | culprit.db.key=k1"
	})})
	r := Run(b)
	f := found(t, r, FindIndexContention)
	if f == nil || f.Value != 0.75 || f.Entity.Resource != "log: log_at, log_pkey" || f.Facts["unread"] != "log_at, log_kind" {
		t.Fatalf("finding %+v", f)
	}
	wantSaving(t, f, 0.085, 0.090) // waits 75 %, and half of the CPU for the two indexes nothing read
	if n := found(t, r, FindIndexMonotonic).Value; n != 2 {
		t.Errorf("%g monotonic indexes", n)
	}
}

func TestCacheMissRatio(t *testing.T) {
	cache := evidence.Entity{Service: "api", Resource: "things"}
	b := minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.CacheHits, cache, 5), steady(evidence.CacheMisses, cache, 15)}})
	if f := found(t, Run(b), FindCacheMisses); f == nil || f.Value != 0.75 {
		t.Errorf("finding %+v", f)
	}
	b = minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.CacheMisses, cache, 1)}})
	if f := found(t, Run(b), FindCacheMisses); f != nil {
		t.Errorf("60 lookups gave a ratio: %s", f.Text)
	}
}

// latency is a histogram with one bucket bound a ms step where all requests of
// a second fall into the bucket of their latency.
func latency(e evidence.Entity, at func(second int) (rps, seconds float64)) evidence.Histogram {
	h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: e, Bounds: []float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2}}
	for s := range 60 {
		rps, l := at(s)
		rates := make([]float64, len(h.Bounds)+1)
		b := 0
		for b < len(h.Bounds) && h.Bounds[b] < l {
			b++
		}
		rates[b] = rps
		h.Times, h.Rates = append(h.Times, int64(s)*1000), append(h.Rates, rates)
	}
	return h
}

func TestSymptoms(t *testing.T) {
	e := evidence.Entity{Service: "api", Operation: "GET /a"}
	for _, tt := range []struct {
		name string
		at   func(s int) (float64, float64)
		slow bool
		why  string
	}{
		{"steady and fast", func(int) (float64, float64) { return 50, 0.008 }, false, ""},
		{"degrades under load", func(s int) (float64, float64) {
			if s < 15 {
				return 10, 0.008
			}
			return 50, 0.15
		}, true, "low-load stage"},
		{"within the buckets' error", func(s int) (float64, float64) {
			if s < 15 {
				return 10, 0.006
			}
			return 50, 0.015
		}, false, ""},
		{"slow from the start", func(int) (float64, float64) { return 50, 1.5 }, true, "objective"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := factsOf(minute(&evidence.Bundle{Histograms: []evidence.Histogram{latency(e, tt.at)}}))
			s := f.Symptom("api", "GET /a")
			if s == nil || s.Slow != tt.slow || !strings.Contains(s.Why, tt.why) {
				t.Errorf("symptom %+v", s)
			}
		})
	}
}

func TestAnalyzersAreDocumentedAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range All() {
		if err := a.Validate(); err != nil {
			t.Error(err)
		}
		for _, k := range append([]Kind{Kind(a.Name)}, a.Finds...) {
			if key := fmt.Sprint(k); seen[key] {
				t.Errorf("%s is found twice", key)
			} else {
				seen[key] = true
			}
		}
	}
}

// A request that sends a message and waits for its answer waits in no span of
// its own; who sends and goes on does not wait at all. The broker knows how
// many messages wait, and the consumer how many it takes.
func TestQueueIsWaitedForOnlyByWhoWaitsForTheAnswer(t *testing.T) {
	list := evidence.Entity{Service: "broker", Instance: "b1", Resource: "mails"}
	depth := steady(evidence.QueueDepth, list, 0)
	for i := range depth.Values {
		depth.Values[i] = float64(2 * i)
	}
	series := []evidence.Series{depth, steady(evidence.QueueConsumed, evidence.Entity{Service: "mailer", Instance: "m1", Resource: "mails"}, 12)}
	sent := "\n  2-3 shop producer send mails\n    %d-990 mailer consumer process mails | messaging.destination.name=mails"
	waiting := minute(&evidence.Bundle{Series: series, Spans: repeat(t, 40, func(int) string { return "0-1000 shop server POST /a" + fmt.Sprintf(sent, 900) })})
	r := Run(waiting)
	wantSaving(t, found(t, r, FindQueue), 0.89, 0.9)
	if f := found(t, r, FindQueueWaited); f == nil || f.Value < 0.85 {
		t.Errorf("share of the wait: %+v", f)
	}
	gone := minute(&evidence.Bundle{Series: series, Spans: repeat(t, 40, func(int) string { return "0-10 shop server POST /a" + fmt.Sprintf(sent, 900) })})
	if f := found(t, Run(gone), FindQueue); f == nil || f.Impact != nil && f.Impact.Saved() > 0.001 {
		t.Errorf("who went on is said to wait: %+v", f)
	}
}

// A queue from which nobody takes is as late as it is long there; one whose
// consumers nobody counts tells nothing.
func TestQueueWithoutConsumer(t *testing.T) {
	list := evidence.Entity{Service: "broker", Instance: "b1", Resource: "mails"}
	depth := steady(evidence.QueueDepth, list, 0)
	for i := range depth.Values {
		depth.Values[i] = float64(9 * i)
	}
	for name, c := range map[string]struct {
		also []evidence.Series
		idle bool
	}{
		"no consumer":   {[]evidence.Series{steady(evidence.QueueConsumers, list, 0)}, true},
		"none consumed": {[]evidence.Series{steady(evidence.QueueConsumed, list, 0)}, true},
		"unknown":       {nil, false},
		"a consumer":    {[]evidence.Series{steady(evidence.QueueConsumers, list, 1), steady(evidence.QueueConsumed, list, 1000)}, false},
	} {
		f := found(t, Run(minute(&evidence.Bundle{Series: append(c.also, depth)})), FindQueue)
		if got := f != nil && f.Facts["idle"] != ""; got != c.idle || c.idle && f.Value < 30 {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Of a container with a quota and of one without it is known whether it was
// stalled; of a process, and of one whose quota is known but not its stalls,
// it is not.
func TestWhoAQuotaCanStall(t *testing.T) {
	entity := func(name string) evidence.Entity { return evidence.Entity{Service: name, Resource: "box"} }
	limited, free, blind := entity("limited"), entity("free"), entity("blind")
	r := Run(minute(&evidence.Bundle{Series: []evidence.Series{
		steady(evidence.CPUThrottledRatio, limited, 0.004), steady(evidence.CPUUsage, limited, 0.1), steady(evidence.CPULimit, limited, 1),
		steady(evidence.CPUUsage, free, 0.1),
		steady(evidence.CPUUsage, blind, 0.1), steady(evidence.CPULimit, blind, 1),
		steady(evidence.CPUUsage, evidence.Entity{Service: "process"}, 0.1)}}))
	got := map[string]float64{}
	for _, f := range r.Findings {
		if f.Kind == FindQuotaStall {
			got[f.Entity.Service] = f.Value
		}
	}
	if want := map[string]float64{"limited": 0.004, "free": 0}; !maps.Equal(got, want) {
		t.Errorf("quotas stall %v, want %v", got, want)
	}
}
