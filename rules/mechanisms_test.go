package rules

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// The tests' system: front calls api, which works alone or asks a database.
// For twenty seconds there is little load, then forty of much.
const (
	rampEnd = 20
	runEnd  = 60
)

var (
	front = evidence.Entity{Service: "front", Operation: "GET /a"}
	api   = evidence.Entity{Service: "api", Operation: "GET /b"}
)

// course is a value over the seconds of the run.
type course func(second int) float64

func always(v float64) course { return func(int) float64 { return v } }

// under load: one value before, one while the load is on.
func under(before, load float64) course {
	return func(s int) float64 {
		if s < rampEnd {
			return before
		}
		return load
	}
}

func series(k evidence.Kind, e evidence.Entity, at course) evidence.Series {
	s := evidence.Series{Kind: k, Entity: e, Query: string(k)}
	for t := range runEnd {
		s.Times, s.Values = append(s.Times, int64(t)*1000), append(s.Values, at(t))
	}
	return s
}

// spot is where the time of a request goes.
type spot int

const (
	inCode       spot = iota // of api
	inDatabase               // that api asks
	inCaller                 // front, before it calls
	inEverything             // all of it alike
)

// work is what a request takes: how long, in ms, at each second, on three
// replicas of api in turn, and where.
type work struct {
	own   func(second, replica int) float64
	where spot
}

// system tells the run of a system.
func system(w work, list ...evidence.Series) *evidence.Bundle {
	b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(runEnd * 1000)}, Series: list}
	for n := range 5 * runEnd {
		addRequest(b, n, w.own(n/5, n%3)*(0.9+0.01*float64(n*7%20)), w.where)
	}
	worst := func(s int) float64 { return max(w.own(s, 0), w.own(s, 1), w.own(s, 2)) / 1000 }
	b.Histograms = append(b.Histograms, latencies(front, worst), latencies(api, worst))
	b.Sort()
	return b
}

// addRequest tells one request: front works, calls api, which asks the
// database and works on. ms of it go to the place that is slow.
func addRequest(b *evidence.Bundle, n int, ms float64, where spot) {
	at, ids := int64(n)*int64(time.Second)/5, n*10
	steps := [5]float64{1, 1, 1, 1, 1} // ms: front, call, api, database, api
	switch where {
	case inCode:
		steps[4] = ms
	case inDatabase:
		steps[3] = ms
	case inCaller:
		steps[0] = ms
	case inEverything:
		for i := range steps {
			steps[i] = ms / 5
		}
	}
	span := func(id int, kind evidence.SpanKind, service, name string, from, to float64) evidence.Span {
		s := evidence.Span{Kind: kind, Service: service, Name: name, Start: at + int64(from*1e6), End: at + int64(to*1e6)}
		binary.BigEndian.PutUint64(s.Trace[8:], uint64(n+1))
		binary.BigEndian.PutUint64(s.ID[:], uint64(ids+id))
		if id > 1 {
			binary.BigEndian.PutUint64(s.Parent[:], uint64(ids+id-1))
		}
		return s
	}
	called := steps[0] + steps[1]
	asked := called + steps[2]
	end := asked + steps[3] + steps[4]
	in := span(3, evidence.KindServer, "api", "GET /b", called, end)
	in.Instance = []string{"api-0", "api-1", "api-2"}[n%3]
	ask := span(4, evidence.KindClient, "api", "SELECT", asked, asked+steps[3])
	ask.Attrs = evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBKey, Value: "k1"}, evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"})
	b.Spans = append(b.Spans, span(1, evidence.KindServer, "front", "GET /a", 0, end+2), span(2, evidence.KindClient, "front", "GET", steps[0], end+steps[1]), in, ask)
}

// latencies is a histogram of one value a second: few requests, then many.
func latencies(e evidence.Entity, at course) evidence.Histogram {
	h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: e, Query: "latency", Bounds: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}}
	for s := range runEnd {
		rates := make([]float64, len(h.Bounds)+1)
		i, _ := slices.BinarySearch(h.Bounds, at(s))
		rates[i] = under(10, 50)(s)
		h.Times, h.Rates = append(h.Times, int64(s)*1000), append(h.Rates, rates)
	}
	return h
}

func judged(t *testing.T, b *evidence.Bundle) *Judgement {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c.Judge(b, analyzers.Run(b))
}

func slowUnderLoad(s, _ int) float64   { return under(10, 160)(s) }
func slowerAndSlower(s, _ int) float64 { return 10 + float64(s*s)/5 }
func fast(int, int) float64            { return 10 }

// mechanism is a planted cause: what metrics show while it hurts, and what
// they show of a system that is busy and well.
type mechanism struct {
	rule    string
	subject evidence.Entity
	where   spot
	sick    []evidence.Series
	busy    []evidence.Series
}

func mechanisms() []mechanism {
	node, one := evidence.Entity{Resource: "n1"}, evidence.Entity{Service: "api", Instance: "api-1:80"}
	box := evidence.Entity{Service: "api", Instance: "pod", Resource: "box"}
	pool := evidence.Entity{Service: "api", Resource: "http"}
	db, disk := evidence.Entity{Resource: "db"}, evidence.Entity{Resource: "n1 sda"}
	svc := evidence.Entity{Service: "api"}
	return []mechanism{
		{"cpu-saturation", node, inEverything, []evidence.Series{series(evidence.NodeCPUBusy, node, under(0.4, 0.98)), series(evidence.NodeCPUPressure, node, under(0.05, 0.6))},
			[]evidence.Series{series(evidence.NodeCPUBusy, node, under(0.3, 0.8)), series(evidence.NodeCPUPressure, node, under(0.05, 0.3))}},
		{"cpu-saturation", box, inCode, []evidence.Series{series(evidence.CPUPressure, box, under(0.02, 0.8))},
			[]evidence.Series{series(evidence.CPUPressure, box, under(0.02, 0.8)), series(evidence.CPULimit, box, always(2))}},
		{"gc-pressure", one, inCode, []evidence.Series{series(evidence.GCTime, one, under(0.01, 0.2))}, []evidence.Series{series(evidence.GCTime, one, under(0.005, 0.02))}},
		{"gc-pressure", one, inCode, []evidence.Series{series(evidence.GCTime, one, always(0.001)), series(evidence.GCCPU, one, under(0.05, 0.5)), series(evidence.CPUUsage, one, always(1))},
			[]evidence.Series{series(evidence.GCCPU, one, under(0.05, 0.5)), series(evidence.CPUUsage, one, always(8))}},
		{"memory-pressure", box, inCode, []evidence.Series{series(evidence.MemoryPressure, box, under(0, 0.2)), series(evidence.MemoryUsage, box, always(99)), series(evidence.MemoryLimit, box, always(100))},
			[]evidence.Series{series(evidence.MemoryPressure, box, always(0)), series(evidence.MemoryUsage, box, always(99)), series(evidence.MemoryLimit, box, always(100))}},
		{"worker-saturation", pool, inCode, []evidence.Series{series(evidence.WorkersBusy, pool, under(2, 8)), series(evidence.WorkersMax, pool, always(8)), series(evidence.WorkersQueued, pool, under(0, 20))},
			[]evidence.Series{series(evidence.WorkersBusy, pool, under(2, 7)), series(evidence.WorkersMax, pool, always(8)), series(evidence.WorkersQueued, pool, always(0))}},
		{"worker-saturation", one, inCode, []evidence.Series{series(evidence.EventLoopLag, one, under(0.01, 0.4))}, []evidence.Series{series(evidence.EventLoopLag, one, under(0.01, 0.03)), series(evidence.EventLoopBusy, one, always(0.95))}},
		{"connection-limit", db, inDatabase, []evidence.Series{series(evidence.DBConnections, db, under(40, 100)), series(evidence.DBConnectionsMax, db, always(100)), series(evidence.DBConnectionsRejected, db, under(0, 3))},
			[]evidence.Series{series(evidence.DBConnections, db, under(40, 85)), series(evidence.DBConnectionsMax, db, always(100)), series(evidence.DBConnectionsRejected, db, always(0))}},
		{"io-saturation", disk, inDatabase, []evidence.Series{series(evidence.DiskBusy, disk, under(0.2, 1)), series(evidence.DiskQueue, disk, under(0.2, 20)), series(evidence.DiskReadLatency, disk, under(0.001, 0.12))},
			[]evidence.Series{series(evidence.DiskBusy, disk, under(0.2, 1)), series(evidence.DiskQueue, disk, under(0.2, 2)), series(evidence.DiskReadLatency, disk, always(0.001))}},
		{"autoscaling-lag", svc, inCode, []evidence.Series{series(evidence.ReplicasDesired, svc, under(3, 9)), series(evidence.ReplicasCurrent, svc, always(3)), series(evidence.ReplicasMax, svc, always(20))},
			[]evidence.Series{series(evidence.ReplicasDesired, svc, under(3, 9)), series(evidence.ReplicasCurrent, svc, under(3, 9)), series(evidence.ReplicasMax, svc, always(20))}},
		{"pod-disruption", one, inCode, []evidence.Series{series(evidence.Restarts, one, under(-1000, rampEnd))}, []evidence.Series{series(evidence.Restarts, one, always(-1000))}},
		{"rate-limiting", svc, inCaller, []evidence.Series{series(evidence.RateLimited, svc, under(0, 20)), series(evidence.ServerRequests, svc, under(10, 50))},
			[]evidence.Series{series(evidence.RateLimited, svc, under(0, 0.05)), series(evidence.ServerRequests, svc, under(10, 50))}},
		{"memory-leak", box, inCode, []evidence.Series{series(evidence.MemoryLimit, box, always(1<<30)), series(evidence.MemoryUsage, box, func(s int) float64 { return float64(200+12*s) * (1 << 20) })},
			[]evidence.Series{series(evidence.MemoryLimit, box, always(1<<30)), series(evidence.MemoryUsage, box, func(s int) float64 { return float64(200+12*min(s, 35)) * (1 << 20) })}},
	}
}

// slow is the work while the mechanism hurts.
func (m *mechanism) slow() work {
	if m.rule == "memory-leak" {
		return work{slowerAndSlower, m.where}
	}
	return work{slowUnderLoad, m.where}
}

func (m *mechanism) fast() work { return work{fast, m.where} }

func TestThePlantedMechanismIsFirst(t *testing.T) {
	for _, m := range mechanisms() {
		t.Run(m.rule, func(t *testing.T) {
			j := judged(t, system(m.slow(), m.sick...))
			if len(j.Causes) == 0 || j.Causes[0].Rule.ID != m.rule || j.Causes[0].Subject != m.subject {
				t.Fatalf("causes %q, rejected %+v", causes(j), j.Rejected)
			}
			if i, well := j.Causes[0].Impact, slowest(system(m.fast())); i.Share() < 0.35 || i.Then < 0.9*well {
				t.Errorf("from %.3f s to %.3f s, want much less, but not less than a system that is well has: %.3f s", i.Now, i.Then, well)
			}
		})
	}
}

// The same latency beside metrics that are busy and well has another cause.
func TestABusyMetricIsNoCause(t *testing.T) {
	for _, m := range mechanisms() {
		t.Run(m.rule, func(t *testing.T) {
			for _, w := range []work{m.slow(), m.fast()} {
				if j := judged(t, system(w, m.busy...)); named(j, m.rule) {
					t.Errorf("causes %q", causes(j))
				}
			}
		})
	}
}

// A mechanism that is there and hurts nobody is no cause.
func TestNobodyIsSlow(t *testing.T) {
	for _, m := range mechanisms() {
		t.Run(m.rule, func(t *testing.T) {
			if j := judged(t, system(m.fast(), m.sick...)); len(j.Causes) > 0 {
				t.Errorf("causes %q", causes(j))
			}
		})
	}
}

// slowest request at the edge, in s.
func slowest(b *evidence.Bundle) float64 {
	most := int64(0)
	for i := range b.Spans {
		most = max(most, b.Spans[i].Duration())
	}
	return float64(most) / 1e9
}

func named(j *Judgement, rule string) bool {
	return slices.ContainsFunc(j.Causes, func(h *Hypothesis) bool { return h.Rule.ID == rule })
}
