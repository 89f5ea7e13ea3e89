package analyzers

import (
	"math"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func symptom(service, operation string, requests, p50, p95 float64) Symptom {
	return Symptom{Entity: evidence.Entity{Service: service, Operation: operation}, Requests: requests, RPS: requests / 60, P50: p50, P95: p95}
}

// blind is a pass over a bundle without traces.
func blind(b *evidence.Bundle, symptoms ...Symptom) *Pass {
	return &Pass{Bundle: b, Facts: &Facts{Symptoms: symptoms}}
}

func TestQueuedWait(t *testing.T) {
	for name, c := range map[string]struct {
		wait, share, p50, p95, want float64
	}{
		"nobody waits":                        {0, 0, 0.004, 0.100, 0},
		"fewer wait than the tail has":        {0.030, 0.04, 0.004, 0.100, 0},
		"a fifth waits 50 ms":                 {0.010, 0.20, 0.004, 0.100, 0.050 * math.Log(4)},
		"no more than lies above the median":  {0.030, 0.45, 0.004, 0.100, 0.096},
		"all wait: the median is shorter too": {0.020, 1, 0.030, 0.100, 0.020 * math.Log(20)},
	} {
		t.Run(name, func(t *testing.T) {
			s := symptom("s", "o", 100, c.p50, c.p95)
			if got := queued(c.wait, c.share)(&s); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("%v s saved, want %v", got, c.want)
			}
		})
	}
}

// A statement is charged to the operation that is asked as often as it is
// called, in the proportion that it has in the median request.
func TestRoughFindsTheOperation(t *testing.T) {
	p := blind(&evidence.Bundle{}, symptom("a", "slow", 800, 0.090, 0.100), symptom("a", "as often", 600, 0.020, 0.050),
		symptom("b", "as often, slower", 610, 0.030, 0.090), symptom("b", "too fast to hold it", 605, 0.001, 0.002))
	for name, c := range map[string]struct {
		rough
		want string
		then float64
	}{
		"called as often":         {rough{calls: 620, saved: evenly(0.010)}, "as often", 0.025},
		"of another service":      {rough{service: "b", calls: 620, saved: evenly(0.010)}, "as often, slower", 0.060},
		"called unlike any":       {rough{calls: 5000, saved: evenly(0.010)}, "slow", 0.090},
		"too seldom to move any":  {rough{strikes: 20, saved: evenly(0.010)}, "", 0},
		"longer than any request": {rough{strikes: 5000, lasts: 0.3, saved: evenly(0.010)}, "", 0},
		"not known how often":     {rough{saved: evenly(0.010)}, "slow", 0.090},
		"it costs some of them":   {rough{saved: func(s *Symptom) float64 { return s.P95 - s.P50 }}, "as often, slower", 0.030},
		"nothing to save":         {rough{saved: evenly(0)}, "", 0},
		"before the service":      {rough{service: "a", before: true, saved: evenly(0.010)}, "as often, slower", 0.080},
		"alike in each request":   {rough{even: true, saved: evenly(0.010)}, "as often, slower", 0.060},
		"a service without load":  {rough{service: "c", saved: evenly(0.010)}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			i, hurt := p.orRough(nil, nil, c.rough)
			if c.want == "" {
				if i != nil {
					t.Errorf("impact %+v, want none", i)
				}
				return
			}
			if i == nil || i.Operation.Operation != c.want || math.Abs(i.Then-c.then) > 1e-9 || len(hurt) != 1 {
				t.Errorf("impact %+v at %v, want %s down to %v", i, hurt, c.want, c.then)
			}
		})
	}
}

func TestTracesComeBeforeRoughGuesses(t *testing.T) {
	p := blind(&evidence.Bundle{}, symptom("a", "o", 600, 0.020, 0.050))
	p.Facts.Traces = []*Trace{{}}
	if i, _ := p.orRough(nil, nil, rough{saved: evenly(0.010)}); i != nil {
		t.Errorf("guessed %+v although traces found nothing", i)
	}
}

func TestCacheFallbackWithoutTraces(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	e := evidence.Entity{Service: "front", Resource: "items"}
	constant := func(k evidence.Kind, v float64) evidence.Series {
		s := evidence.Series{Kind: k, Entity: e}
		for i := range int64(60) {
			s.Times, s.Values = append(s.Times, start.UnixMilli()+1000*i), append(s.Values, v)
		}
		return s
	}
	statement := func(calls float64) evidence.Statement {
		return evidence.Statement{Text: "select a from b where c = $1", TopLevel: true, Calls: calls, Exec: calls * 0.02}
	}
	for name, c := range map[string]struct {
		calls float64
		found bool
	}{"as often": {618, true}, "twice as often": {1200, false}} {
		t.Run(name, func(t *testing.T) {
			b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)},
				Series:   []evidence.Series{constant(evidence.CacheHits, 2), constant(evidence.CacheMisses, 10)},
				Postgres: []evidence.Postgres{{Statements: []evidence.Statement{statement(c.calls)}}}}
			var found []Finding
			p := blind(b, symptom("front", "GET /item", 720, 0.030, 0.050), symptom("front", "GET /list", 615, 0.025, 0.050))
			p.report = func(f Finding) { found = append(found, f) }
			if err := runCacheFallback(p); err != nil {
				t.Fatal(err)
			}
			if got := len(found) == 1; got != c.found {
				t.Fatalf("found %+v", found)
			}
			if !c.found {
				return
			}
			f := found[0]
			if math.Abs(f.Value-10.0/12) > 1e-9 || f.Impact == nil || f.Impact.Operation.Operation != "GET /list" || math.Abs(f.Impact.Then-0.010) > 1e-9 {
				t.Errorf("%+v, impact %+v", f, f.Impact)
			}
		})
	}
}

// What waits in a queue is what moves with it: the other is slow on its own.
func TestRoughMovesTogether(t *testing.T) {
	course := func(s Symptom, p95 func(i int) float64) Symptom {
		s.Step = 2000
		for i := range 20 {
			s.Times, s.P95s = append(s.Times, int64(i)*2000), append(s.P95s, p95(i))
		}
		return s
	}
	depth := wave{}
	for i := range 40 {
		depth.times, depth.values = append(depth.times, int64(i)*1000), append(depth.values, float64(i))
	}
	p := blind(&evidence.Bundle{}, course(symptom("a", "waits", 600, 4, 8), func(i int) float64 { return 0.4 * float64(i+1) }),
		course(symptom("a", "slow anyhow", 600, 8, 9), func(i int) float64 { return 9 - 0.01*float64(i) }))
	i, _ := p.orRough(nil, nil, rough{saved: evenly(6), lasts: 6, moves: &depth})
	if i == nil || i.Operation.Operation != "waits" {
		t.Errorf("impact %+v, want that of the one that rises with the queue", i)
	}
	p.Facts.Symptoms = p.Facts.Symptoms[1:]
	if i, _ := p.orRough(nil, nil, rough{saved: evenly(6), lasts: 6, moves: &depth}); i != nil {
		t.Errorf("impact %+v of a queue that nothing moves with", i)
	}
}

// By Little's law 3 tasks that wait, where 30 arrive a second, wait 0.1 s each;
// a queue that is seen empty half of the time is met by half of them.
func TestQueueBeforeAService(t *testing.T) {
	e := evidence.Entity{Service: "back", Resource: "workers"}
	queue := evidence.Series{Kind: evidence.WorkersQueued, Entity: e}
	for i := range int64(60) {
		queue.Times, queue.Values = append(queue.Times, 1000*i), append(queue.Values, float64(6*(i%2)))
	}
	p := blind(&evidence.Bundle{Series: []evidence.Series{queue}}, symptom("back", "o", 1800, 0.004, 0.010), symptom("front", "o", 1800, 0.010, 0.9))
	r := p.queuedTasks(e)
	if got, want := r.saved(&p.Facts.Symptoms[1]), 0.1/0.5*math.Log(0.5/0.05); math.Abs(got-want) > 1e-9 {
		t.Errorf("%v s, want %v", got, want)
	}
	if i, _ := p.orRough(nil, nil, r); i == nil || i.Operation.Service != "front" {
		t.Errorf("impact %+v: it lies before the service's own clock", i)
	}
}

// One of three replicas is slow; the traces that are there tell nothing of it.
func TestReplicasByHistogram(t *testing.T) {
	histogram := func(instance string, slow float64) evidence.Histogram {
		return evidence.Histogram{Kind: evidence.ServerLatency, Entity: evidence.Entity{Service: "back", Instance: instance}, Bounds: []float64{0.01, 0.1},
			Times: []int64{0, 1000}, Rates: [][]float64{{100 - slow, slow, 0}, {100 - slow, slow, 0}}}
	}
	for name, c := range map[string]struct {
		third float64
		found int
	}{"one is slow": {90, 1}, "all alike": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(2000)},
				Histograms: []evidence.Histogram{histogram("a", 1), histogram("b", 1), histogram("c", c.third)}}
			p := blind(b, symptom("back", "o", 600, 0.005, 0.09))
			p.Facts.Traces = []*Trace{{}}
			var found []Finding
			p.report = func(f Finding) { found = append(found, f) }
			if err := runImbalance(p); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, f := range found {
				if f.Kind == FindImbalance {
					n++
					if f.Entity.Instance != "c" || f.Impact == nil || f.Impact.Share() < 0.5 {
						t.Errorf("%+v, impact %+v", f, f.Impact)
					}
				}
			}
			if n != c.found {
				t.Errorf("%d slow replicas, want %d: %+v", n, c.found, found)
			}
		})
	}
}
