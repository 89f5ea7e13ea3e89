package analyzers

import (
	"fmt"
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindWorkers         Kind = "workers.saturated" // how strongly a server lacked workers while it was slow, 0..1
	FindWorkersUse      Kind = "workers.use"       // workers at work / workers there may be, 0..1
	FindWorkersQueued   Kind = "workers.queued"    // tasks that wait, for each worker
	FindWorkersRejected Kind = "workers.rejected"  // tasks refused a second
	FindWorkersWaited   Kind = "workers.waited"    // share of the p95 of a request that passes before the handlers of the service begin, 0..1
	FindLoopLag         Kind = "eventloop.lag"     // s an event loop is late
	FindLoopBusy        Kind = "eventloop.busy"    // share of time that it works, 0..1
	FindFilesUse        Kind = "files.use"         // open file descriptors / allowed, 0..1
)

// workerSaturation measures pools of threads and processes, and event loops.
// A busy pool is well used; only a full one whose tasks wait is a bottleneck.
// Thresholds: 0.9 to 1 of the workers, an event loop 0.05 to 0.5 s late (the
// public rules alert between 0.1 and 0.5), file descriptors 0.9 to 1.
var workerSaturation = Analyzer{
	Name:     "worker-saturation",
	Doc:      "Workers at work against workers there may be, tasks that wait or are refused, and how late event loops run; the gain by bringing the calls into the service to what they take while workers are free.",
	NeedsAny: []evidence.Kind{evidence.WorkersBusy, evidence.WorkersQueued, evidence.WorkersRejected, evidence.EventLoopLag, evidence.FDsMax},
	Uses:     []evidence.Kind{evidence.WorkersMax, evidence.EventLoopBusy, evidence.FDsOpen, evidence.Spans},
	Finds:    []Kind{FindWorkers, overlap(FindWorkers), FindWorkersUse, FindWorkersQueued, FindWorkersRejected, FindWorkersWaited, FindLoopLag, FindLoopBusy, FindFilesUse},
	Run:      runWorkers,
}

func runWorkers(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.WorkersBusy), p.entitiesOf(evidence.WorkersQueued), p.entitiesOf(evidence.WorkersRejected), p.entitiesOf(evidence.EventLoopLag), p.entitiesOf(evidence.FDsMax)) {
		p.reportStall(stall{finds: FindWorkers, entity: e, service: e.Service, before: true, stalled: p.spansAt(e), witnesses: p.workerWitnesses(e), facts: p.workerFacts(e),
			account: func(p *Pass) (*Impact, []evidence.Entity) { return p.waitForWorkers(e) },
			text:    fmt.Sprintf("%s had no worker free while it was slow", e)})
	}
	return nil
}

func (p *Pass) workerWitnesses(e evidence.Entity) []*witness {
	limit := p.seriesAt(evidence.WorkersMax, e)
	return []*witness{
		witnessOf(p.seriesAt(evidence.WorkersBusy, e), witness{finds: FindWorkersUse, unit: "1", none: 0.9, full: 1,
			text: func(v float64) string { return percent(v) + " of its workers were at work" }}).over(limit),
		witnessOf(p.seriesAt(evidence.WorkersQueued, e), witness{finds: FindWorkersQueued, unit: "1", none: 0.25, full: 2,
			text: func(v float64) string { return decimals(v, 1) + " tasks waited for each worker" }}).over(limit),
		witnessOf(p.seriesAt(evidence.WorkersRejected, e), witness{finds: FindWorkersRejected, unit: "1/s", none: 0, full: 1,
			text: func(v float64) string { return decimals(v, 1) + " tasks a second were refused" }}),
		// Node.js looks every 10 ms, so that up to 20 ms are none; 100 ms is
		// where public alerts begin
		witnessOf(p.seriesAt(evidence.EventLoopLag, e), witness{finds: FindLoopLag, unit: "s", none: 0.02, full: 0.1,
			text: func(v float64) string { return "its event loop ran " + decimals(v*1000, 0) + " ms late" }}),
		witnessOf(p.seriesAt(evidence.EventLoopBusy, e), witness{finds: FindLoopBusy, unit: "1", support: true,
			text: func(v float64) string { return "its event loop worked " + percent(v) + " of the time" }}),
		witnessOf(p.seriesAt(evidence.FDsOpen, e), witness{finds: FindFilesUse, unit: "1", none: 0.9, full: 1,
			text: func(v float64) string { return percent(v) + " of the file descriptors it may have were open" }}).over(p.seriesAt(evidence.FDsMax, e)),
	}
}

// waitForWorkers is what calls into a service wait before its handlers begin.
// Gauges of a pool are read once in a while, and miss most of a queue that comes
// and goes within a second; the traces hold every wait.
func (p *Pass) waitForWorkers(e evidence.Entity) (*Impact, []evidence.Entity) {
	if e.Service == "" || len(p.seriesAt(evidence.WorkersBusy, e))+len(p.seriesAt(evidence.WorkersQueued, e)) == 0 {
		return nil, nil
	}
	i, hurt := p.impactOfGaps(e.Service)
	i, hurt = p.orRough(i, hurt, p.queuedTasks(e))
	if i != nil {
		p.Report(Finding{Kind: FindWorkersWaited, Entity: e, Value: i.Share(), Unit: "1",
			Text: fmt.Sprintf("%s of the p95 of %s passes before a handler of %s begins", percent(i.Share()), i.Operation, e.Service)})
	}
	return i, hurt
}

// queuedTasks is what a queue before a service costs those who call it, by its
// own gauge: as many wait as arrive in the time that one waits (Little,
// Operations Research 9, 1961).
func (p *Pass) queuedTasks(e evidence.Entity) rough {
	queue := p.seriesAt(evidence.WorkersQueued, e)
	times, values := sumSeries(queue)
	wait := per(p.loadedMean("", times, values), p.requestRate(e.Service))
	return rough{service: e.Service, before: true, saved: queued(wait, p.busyShare("", queue)), method: "tasks that wait, over the requests that arrive, and how often any was seen to wait"}
}

// impactOfGaps of the calls into a service: what they take beyond what the
// fastest tenth of them needs to get there and back.
func (p *Pass) impactOfGaps(service string) (*Impact, []evidence.Entity) {
	var gaps []float64
	into := func(t *Trace, each func(call int32, gap int64)) {
		for i, hit := range t.callsInto(service) {
			if gap := t.gap(int32(i)); hit && gap >= 0 {
				each(int32(i), gap)
			}
		}
	}
	for _, t := range p.Facts.Traces {
		into(t, func(_ int32, gap int64) { gaps = append(gaps, float64(gap)) })
	}
	least := int64(quantile(gaps, gapFloor))
	cut := func(t *Trace) Cuts {
		c := t.NewCuts()
		into(t, func(call int32, gap int64) { t.CutSelf(c, call, gap-least) })
		return c
	}
	return p.predictWorst(p.Facts.tracesWith(func(s *evidence.Span) bool { return s.Service == service }), cut)
}

// workerFacts proposes what Little's law asks for: those at work and those
// that wait were wanted together; half as many again keep the queue short.
func (p *Pass) workerFacts(e evidence.Entity) map[string]string {
	f := map[string]string{"service": e.Service, "pool": e.Resource}
	limit, ok := meanOf(p.seriesAt(evidence.WorkersMax, e))
	if !ok || limit <= 0 {
		return f
	}
	busy, _ := meanOf(p.seriesAt(evidence.WorkersBusy, e))
	times, values := sumSeries(p.seriesAt(evidence.WorkersQueued, e))
	queued := p.loadedMean(e.Service, times, values)
	f["max"] = decimals(limit, 0)
	f["proposed"] = decimals(math.Max(limit+1, math.Ceil(1.5*(busy+queued))), 0)
	return f
}
