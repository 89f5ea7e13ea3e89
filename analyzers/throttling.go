package analyzers

import (
	"fmt"
	"math"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindThrottled        Kind = "cpu.throttled"         // share of scheduler periods in which the container was stalled, 0..1
	FindThrottledOverlap Kind = "cpu.throttled.overlap" // rank correlation of throttling with the service's own p95, 0..1
	FindCPULimitUse      Kind = "cpu.limit.use"         // CPU used / limit, 0..1
	FindQuotaStall       Kind = "cpu.quota.stall"       // as cpu.throttled, of every container whose quota is known; 0 without a quota
	FindSelfTimeExcess   Kind = "self.excess"           // share of the service's own time beyond what it needs unstalled, 0..1
)

// fullyThrottled: from this share of stalled periods on, all of a request's
// excess own time is laid to throttling. The kernel stalls a group for the
// rest of a 100 ms period, so at one period in five most requests longer than
// a few tens of ms are hit.
const fullyThrottled = 0.2

// cpuThrottling measures stalls by a CPU quota (CFS bandwidth control) and
// what they cost the requests of that very service.
var cpuThrottling = Analyzer{
	Name:  "cpu-throttling",
	Doc:   "Throttled periods of each container against the latency of the service in it; the gain by cutting the service's own time in its traces down to what it needs when it is not stalled.",
	Needs: []evidence.Kind{evidence.CPUThrottledRatio},
	Uses:  []evidence.Kind{evidence.Spans, evidence.CPUUsage, evidence.CPULimit, evidence.ServerLatency},
	Finds: []Kind{FindThrottled, FindThrottledOverlap, FindCPULimitUse, FindSelfTimeExcess},
	Run:   runThrottling,
}

func runThrottling(p *Pass) error {
	for _, e := range p.entitiesOf(evidence.CPUThrottledRatio) {
		series := p.seriesAt(evidence.CPUThrottledRatio, e)
		times, values := sumSeries(series)
		value := p.loadedMean(e.Service, times, values)
		if value < 0.01 {
			continue
		}
		reportThrottling(p, e, series[0], times, values, value)
	}
	return nil
}

// cpuQuota tells of every container that a quota can or cannot stall it: what a
// rule weighs that a stall would contradict. That nothing is known of quotas
// is neither.
var cpuQuota = Analyzer{
	Name:  "cpu-quota",
	Doc:   "How much each container is stalled by its CPU quota; for one that has no quota, that it cannot be.",
	Uses:  []evidence.Kind{evidence.CPUThrottledRatio, evidence.CPUUsage, evidence.CPULimit},
	Finds: []Kind{FindQuotaStall},
	Run:   runQuota,
}

func runQuota(p *Pass) error {
	for _, e := range p.entitiesOf(evidence.CPUThrottledRatio) {
		series := p.seriesAt(evidence.CPUThrottledRatio, e)
		times, values := sumSeries(series)
		v := p.loadedMean(e.Service, times, values)
		p.Report(Finding{Kind: FindQuotaStall, Entity: e, Value: v, Unit: "1", Refs: []evidence.Ref{{Source: "prometheus", Query: series[0].Query}},
			Text: fmt.Sprintf("%s was stalled by its CPU quota in %s of the scheduler's periods", e, percent(v))})
	}
	for _, e := range p.entitiesOf(evidence.CPUUsage) {
		process := e.Resource == ""
		if process || len(p.seriesAt(evidence.CPUThrottledRatio, e))+len(p.seriesAt(evidence.CPULimit, e)) > 0 {
			continue
		}
		p.Report(Finding{Kind: FindQuotaStall, Entity: e, Unit: "1", Refs: []evidence.Ref{{Source: "prometheus", Query: p.seriesAt(evidence.CPUUsage, e)[0].Query}},
			Text: fmt.Sprintf("%s has no CPU quota that could stall it", e)})
	}
	return nil
}

func reportThrottling(p *Pass, e evidence.Entity, s *evidence.Series, times []int64, values []float64, value float64) {
	refs := []evidence.Ref{{Source: "prometheus", Query: s.Query}}
	f := Finding{Kind: FindThrottled, Entity: e, Value: value, Unit: "1", Refs: refs,
		Text:   fmt.Sprintf("%s was stalled by its CPU quota in %.0f %% of the scheduler's periods", e, value*100),
		Charts: []Chart{{Title: "Throttled periods", Unit: "1", Lines: []Line{{Name: e.Resource, Times: times, Values: values}}}}}
	f.Facts = throttlingFacts(p, e)
	if e.Service != "" {
		ex := excessOf(p, spansOf(e.Service), presence{times: times, values: values, full: fullyThrottled, lag: lagOf([]*evidence.Series{s})})
		f.Impact, f.Victims = p.predictWorst(p.Facts.serviceSpans(e.Service).traces, ex.cuts)
		f.Impact, f.Victims = p.orRough(f.Impact, f.Victims, p.stalledRequests(e, value))
		if len(ex.need) > 0 {
			share := ex.share(p, e.Service)
			p.Report(Finding{Kind: FindSelfTimeExcess, Entity: e, Value: share, Unit: "1",
				Text: fmt.Sprintf("%.0f %% of the time that %s spends in its own code, while throttled, is beyond what the same spans need when not stalled", share*100, e.Service)})
		}
		r := p.latencyCorrelation(e.Service, times, values)
		p.Report(Finding{Kind: FindThrottledOverlap, Entity: e, Value: math.Max(r, 0), Unit: "1", Refs: refs,
			Text: fmt.Sprintf("throttling and the p95 of %s move together (rank correlation %.2f)", e.Service, r)})
	}
	p.Report(f)
	reportLimitUse(p, e)
}

// reportLimitUse compares CPU used with CPU allowed.
func reportLimitUse(p *Pass, e evidence.Entity) {
	used, ok1 := meanOf(p.seriesAt(evidence.CPUUsage, e))
	limit, ok2 := meanOf(p.seriesAt(evidence.CPULimit, e))
	if !ok1 || !ok2 || limit <= 0 {
		return
	}
	p.Report(Finding{Kind: FindCPULimitUse, Entity: e, Value: used / limit, Unit: "1",
		Text: fmt.Sprintf("it used %.2f of the %.2f cores it may", used, limit)})
}

func throttlingFacts(p *Pass, e evidence.Entity) map[string]string {
	f := map[string]string{"container": e.Resource, "instance": e.Instance, "service": e.Service}
	limit, ok := meanOf(p.seriesAt(evidence.CPULimit, e))
	if !ok || limit <= 0 {
		return f
	}
	f["limit"] = strconv.FormatFloat(limit, 'f', 2, 64)
	// the demand is hidden behind the quota; doubling is the smallest step that can show it
	f["proposed"] = strconv.FormatFloat(math.Ceil(limit*2*10)/10, 'f', 1, 64)
	return f
}

// stalledRequests is what the stalls cost a request, by the container's own
// counters: the time its threads stood still, spread over the requests, of
// which about the throttled share of the periods met a stall.
func (p *Pass) stalledRequests(e evidence.Entity, share float64) rough {
	stopped := p.seriesAt(evidence.CPUThrottledTime, e)
	times, values := sumSeries(stopped)
	requests := p.requestRate(e.Service)
	if len(values) == 0 || requests == 0 {
		return rough{service: e.Service, saved: aboveBaseline, method: "p95 above that of the low-load stage"}
	}
	stall := p.loadedMean(e.Service, times, values) / requests
	return rough{service: e.Service, saved: queued(stall, share), method: "time throttled by the container's own counters, spread over its requests"}
}

// requestRate of all operations of a service, 1/s.
func (p *Pass) requestRate(service string) float64 {
	rate := 0.0
	for i := range p.Facts.Symptoms {
		if s := &p.Facts.Symptoms[i]; s.Entity.Service == service {
			rate += s.RPS
		}
	}
	return rate
}
