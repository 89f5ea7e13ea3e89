package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindGC         Kind = "gc.pressure"     // how strongly collection held requests up while they were slow, 0..1
	FindGCPause    Kind = "gc.pause.share"  // s of pause a s
	FindGCCPU      Kind = "gc.cpu.share"    // CPU of the collector / CPU of the process, 0..1
	FindGCAssist   Kind = "gc.assist.share" // CPU that allocating requests gave to the collector / CPU of the process, 0..1
	FindGCTurnover Kind = "gc.turnover"     // heaps allocated a second, 1/s
	FindHeapUse    Kind = "heap.use"        // heap used / heap allowed, 0..1
)

// gcPressure measures collectors of every runtime. Thresholds: 0.05 of the
// time in pauses is the public alert for the JVM and Go, 0.15 three times
// that; a Go collector is built to take a quarter of the CPU while it marks,
// so that a share of 0.2 over all of the time means that it hardly ever rests.
var gcPressure = Analyzer{
	Name:     "gc-pressure",
	Doc:      "Pauses, CPU and assists of garbage collectors against the latency of the service that has them; the gain by bringing its spans to what they take while the collector rests, or, where it never does, by taking out of them what pauses and assists take on average.",
	NeedsAny: []evidence.Kind{evidence.GCTime, evidence.GCCPU},
	Uses:     []evidence.Kind{evidence.ServerRequests, evidence.ServerLatency, evidence.GCAssist, evidence.CPUUsage, evidence.HeapUsed, evidence.HeapMax, evidence.HeapAlloc, evidence.Spans},
	Finds:    []Kind{FindGC, overlap(FindGC), FindGCPause, FindGCCPU, FindGCAssist, FindGCTurnover, FindHeapUse},
	Run:      runGC,
}

func runGC(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.GCTime), p.entitiesOf(evidence.GCCPU)) {
		p.reportStall(stall{finds: FindGC, entity: e, service: e.Service, stalled: p.spansAt(e), witnesses: p.gcWitnesses(e), facts: p.gcFacts(e),
			account: func(p *Pass) (*Impact, []evidence.Entity) { return p.collectorImpact(e) },
			text:    fmt.Sprintf("garbage collection held up %s while it was slow", e.Service)})
	}
	return nil
}

func (p *Pass) gcWitnesses(e evidence.Entity) []*witness {
	var cpu []*evidence.Series
	if len(p.seriesAt(evidence.GCCPU, e))+len(p.seriesAt(evidence.GCAssist, e)) > 0 {
		cpu = p.processCPU(e)
	}
	return []*witness{
		witnessOf(p.seriesAt(evidence.GCTime, e), witness{finds: FindGCPause, unit: "1", none: 0.03, full: 0.15,
			text: func(v float64) string { return decimals(v*100, 1) + " % of the time went into pauses" }}),
		witnessOf(p.seriesAt(evidence.GCCPU, e), witness{finds: FindGCCPU, unit: "1", none: 0.15, full: 0.4,
			text: func(v float64) string { return percent(v) + " of the process's CPU went to the collector" }}).over(cpu),
		witnessOf(p.seriesAt(evidence.GCAssist, e), witness{finds: FindGCAssist, unit: "1", none: 0.03, full: 0.15,
			text: func(v float64) string { return percent(v) + " of its CPU was taken from requests that allocate" }}).over(cpu),
		witnessOf(p.seriesAt(evidence.HeapAlloc, e), witness{finds: FindGCTurnover, unit: "1/s", support: true,
			text: func(v float64) string { return "it allocates " + decimals(v, 1) + " times its heap a second" }}).over(p.seriesAt(evidence.HeapUsed, e)),
		witnessOf(p.seriesAt(evidence.HeapUsed, e), witness{finds: FindHeapUse, unit: "1", support: true,
			text: func(v float64) string { return percent(v) + " of the heap allowed is in use" }}).over(p.seriesAt(evidence.HeapMax, e)),
	}
}

// processCPU is the CPU of a process: its own account, or, where only that is
// there, that of the one container of its service.
func (p *Pass) processCPU(e evidence.Entity) []*evidence.Series {
	if own := p.seriesAt(evidence.CPUUsage, e); len(own) > 0 || e.Service == "" {
		return own
	}
	return p.seriesOf(evidence.CPUUsage, ofService(e.Service))
}

func (p *Pass) gcFacts(e evidence.Entity) map[string]string {
	f := map[string]string{"service": e.Service, "instance": e.Instance}
	if v, ok := meanOf(p.seriesAt(evidence.HeapUsed, e)); ok {
		f["heap"] = bytesText(v)
		f["proposed"] = bytesText(2 * v)
	}
	if v, ok := meanOf(p.seriesAt(evidence.HeapMax, e)); ok && v > 0 {
		f["limit"] = bytesText(v)
		f["proposed"] = bytesText(2 * v)
	}
	if v, ok := meanOf(p.seriesAt(evidence.HeapAlloc, e)); ok {
		f["alloc"] = bytesText(v)
	}
	return f
}
