package analyzers

import (
	"math"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// half a minute without, half a minute with.
func later(k evidence.Kind, e evidence.Entity, before, after float64) evidence.Series {
	s := steady(k, e, before)
	for i := 30; i < len(s.Values); i++ {
		s.Values[i] = after
	}
	return s
}

// A span that is spread by nature has no excess: nine tenths of the quiet ones
// are what it needs, not the fastest.
func TestWhatIsSpreadByNatureIsNoExcess(t *testing.T) {
	spread := func(i int) string {
		if i%3 == 0 {
			return "0-100 api server GET /a"
		}
		return "0-10 api server GET /a"
	}
	one := evidence.Entity{Service: "api", Instance: "api:80"}
	// the quiet half minute is a tenth of the requests: it does not make the tail
	b := minute(&evidence.Bundle{Spans: repeat(t, 300, spread), Series: []evidence.Series{later(evidence.GCTime, one, 0, 0.2)}})
	f := found(t, Run(b), FindGC)
	if f == nil || f.Impact == nil || f.Impact.Saved() > 0.001 {
		t.Errorf("impact %+v, want nothing to gain: half of the time without collection is as slow", f.Impact)
	}
}

// A node that is full stretches all that runs on it; one that is full beside
// one slow kind of span does not explain that kind.
func TestANodeIsChargedWithTheCommonStretchOnly(t *testing.T) {
	lockedAfter30 := func(i int) string {
		end, below := "60", "50"
		if i >= 30 {
			end, below = "460", "450"
		}
		return "0-" + end + " api server GET /a\n  5-20 api internal parse\n  20-35 api internal check\n  35-" + below + " api internal lock"
	}
	node := evidence.Entity{Resource: "n1"}
	b := minute(&evidence.Bundle{Spans: repeat(t, 60, lockedAfter30), Series: []evidence.Series{later(evidence.NodeCPUBusy, node, 0.3, 0.99)}})
	f := found(t, Run(b), FindNodeSaturated)
	if f == nil || f.Impact == nil || f.Impact.Saved() > 0.02 {
		t.Errorf("impact %+v, want none of the 400 ms that one kind of span waits", f.Impact)
	}
}

func TestAMissingDivisorIsNotZero(t *testing.T) {
	one := evidence.Entity{Service: "api", Instance: "api:80"}
	for _, list := range [][]evidence.Series{
		{steady(evidence.GCCPU, one, 3)},                                    // of how many cores is not known
		{steady(evidence.GCCPU, one, 3), steady(evidence.CPUUsage, one, 0)}, // none was used: no share
	} {
		if f := found(t, Run(minute(&evidence.Bundle{Series: list})), FindGC); f != nil {
			t.Errorf("%s (%g)", f.Text, f.Value)
		}
	}
	box := evidence.Entity{Service: "api", Resource: "box"}
	b := minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.DBConnections, box, 5000), steady(evidence.WorkersBusy, box, 900), steady(evidence.WorkersQueued, box, 40)}})
	for _, k := range []Kind{FindConnections, FindWorkers} {
		if f := found(t, Run(b), k); f != nil {
			t.Errorf("%s without a limit: %s", k, f.Text)
		}
	}
}

func TestTheLargestConsumerIsNamed(t *testing.T) {
	node := evidence.Entity{Resource: "n1"}
	list := []evidence.Series{steady(evidence.NodeCPUBusy, node, 0.99), steady(evidence.NodeCPUCount, node, 4),
		steady(evidence.CPUUsage, evidence.Entity{Service: "api", Instance: "a"}, 0.5), steady(evidence.CPUUsage, evidence.Entity{Instance: "/batch", Resource: "batch"}, 3.2)}
	f := found(t, Run(minute(&evidence.Bundle{Series: list})), FindNodeSaturated)
	if f == nil || f.Facts["consumer"] != "batch" || f.Facts["consumer_cores"] != "3.20" || f.Facts["proposed"] != "6" {
		t.Fatalf("finding %+v", f)
	}
	other := evidence.Entity{Resource: "n2"}
	f = found(t, Run(minute(&evidence.Bundle{Series: append(list, steady(evidence.NodeCPUBusy, other, 0.1))})), FindNodeSaturated)
	if f.Facts["consumer"] != "" {
		t.Errorf("with two nodes the consumer %q may run on the other", f.Facts["consumer"])
	}
}

func TestARestartIsAStepNotAnAge(t *testing.T) {
	one := evidence.Entity{Service: "api", Instance: "api:80"}
	for _, tt := range []struct {
		name string
		s    evidence.Series
		want int
	}{
		{"old", steady(evidence.Restarts, one, -5000), 0},
		{"started for the run", steady(evidence.Restarts, one, 0), 0},
		{"restarted", later(evidence.Restarts, one, -5000, 29.5), 1},
		{"clock noise of the exporter", later(evidence.Restarts, one, -5000, -4999.5), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Pass{Bundle: minute(&evidence.Bundle{Series: []evidence.Series{tt.s}}), Facts: &Facts{}}
			got := p.restartsOf(one)
			if len(got) != tt.want || tt.want == 1 && got[0] != 29_500 {
				t.Errorf("restarts at %v", got)
			}
		})
	}
}

func TestBusyDisksAreNotFull(t *testing.T) {
	disk := evidence.Entity{Resource: "n1 nvme0n1"}
	b := minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.DiskBusy, disk, 1), steady(evidence.DiskQueue, disk, 3), steady(evidence.DiskReadLatency, disk, 0.0005)}})
	if f := found(t, Run(b), FindDisk); f != nil {
		t.Errorf("%s", f.Text)
	}
	b = minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.DiskBusy, disk, 0.01), steady(evidence.DiskReadLatency, disk, 0.2)}})
	if f := found(t, Run(b), FindDisk); f != nil {
		t.Errorf("one slow read on a disk that rests: %s", f.Text)
	}
}

func TestNetworkCountersAreReadWithTheirUnits(t *testing.T) {
	node := evidence.Entity{Resource: "n1"}
	proxy := evidence.Entity{Service: "pay"}
	r := Run(minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.NetTimeWait, node, ephemeralPorts/2), steady(evidence.NetRetransmits, node, 0.03),
		steady(evidence.Retries, proxy, 20), steady(evidence.Attempts, proxy, 100)}}))
	for k, want := range map[Kind]float64{FindPorts: 0.5, FindRetransmits: 0.03, FindRetryShare: 0.2} {
		if f := found(t, r, k); f == nil || math.Abs(f.Value-want) > 1e-9 {
			t.Errorf("%s: %+v, want %g", k, f, want)
		}
	}
	if f := found(t, r, FindRetransmits); !strings.Contains(f.Text, "3.0 %") {
		t.Errorf("text %q", f.Text)
	}
}

// Measured with prom-client 15.1 on Node.js 20: 10 to 20 ms at p99 in a shop at
// rest and under its usual load, 90 ms where every third request hashes a
// password without yielding.
func TestLateEventLoop(t *testing.T) {
	loop := evidence.Entity{Service: "shop", Instance: "a"}
	for lag, want := range map[float64]bool{0.018: false, 0.09: true} {
		f := found(t, Run(minute(&evidence.Bundle{Series: []evidence.Series{steady(evidence.EventLoopLag, loop, lag)}})), FindWorkers)
		if got := f != nil && f.Value > 0.8; got != want {
			t.Errorf("%g s late: %+v", lag, f)
		}
	}
}
