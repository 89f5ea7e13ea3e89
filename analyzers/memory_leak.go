package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"gonum.org/v1/gonum/stat"
)

const (
	FindLeak       Kind = "memory.leak"        // growth over the window / limit, or / four times the memory at its start where there is none
	FindLeakSteady Kind = "memory.leak.steady" // slope of the last quarter / slope of the whole
	FindLeakFit    Kind = "memory.leak.fit"    // share of the variance that a straight line explains, 0..1
	FindLeakLimit  Kind = "memory.leak.hours"  // h until the limit is reached at this rate
)

// Guards against warm-up, saw teeth and noise, after Coroot's check: a line
// through the longest run without a drop by half, that covers a third of the
// window and ten points; the last quarter still grows, by at least 0.3 of the
// overall slope; growth by 5 % of the limit, or by 50 MiB where there is none.
// Its slope over an hour is scaled to the window of a load run.
const (
	leakPoints  = 10
	leakRun     = 1.0 / 3
	leakDrop    = 0.5
	leakTail    = 0.3
	leakGrowth  = 0.05
	leakNoLimit = 50 << 20
	leakAssumed = 4   // limit assumed where there is none, in memory at the start
	leakWarmUp  = 0.2 // first share of a run: caches and pools fill
)

// memoryLeak looks for memory that grows without an end in sight.
var memoryLeak = Analyzer{
	Name:  "memory-leak",
	Doc:   "Straight growth of a process's or container's memory that goes on to the end of the window, with guards against warm-up and saw teeth; the gain by bringing the spans of its service to what they take while it is small.",
	Needs: []evidence.Kind{evidence.MemoryUsage},
	Uses:  []evidence.Kind{evidence.MemoryLimit, evidence.Spans},
	Finds: []Kind{FindLeak, FindLeakSteady, FindLeakFit, FindLeakLimit, overlap(FindLeak)},
	Run:   runMemoryLeak,
}

// growth is a straight line through memory over time.
type growth struct {
	slope, tail float64 // By/s: of the run, of its last quarter
	from, to    float64 // By, on the line
	fit         float64
}

func runMemoryLeak(p *Pass) error {
	for _, e := range p.entitiesOf(evidence.MemoryUsage) {
		w := witnessOf(p.seriesAt(evidence.MemoryUsage, e), witness{finds: FindLeak, unit: "By"})
		if w == nil {
			continue
		}
		limit, limited := meanOf(p.seriesAt(evidence.MemoryLimit, e))
		g, ok := growthOf(w.times, w.values)
		if !ok || !g.leaks(limit, limited) || e.Service == "" && !limited {
			continue // without either, nobody is slowed and nothing breaks: a cache that fills
		}
		p.reportLeak(e, w, g, limit)
	}
	return nil
}

// growthOf fits the longest run without a drop by half, after the warm-up;
// false where it is too short to tell.
func growthOf(times []int64, values []float64) (growth, bool) {
	skip := int(leakWarmUp * float64(len(values)))
	times, values = times[skip:], values[skip:]
	lo, hi := longestRun(values)
	if n := hi - lo; n < leakPoints || float64(n) < leakRun*float64(len(values)) {
		return growth{}, false
	}
	times, values = times[lo:hi], values[lo:hi]
	a, b, fit := line(times, values)
	q := len(values) - max(len(values)/4, 5)
	_, tail, _ := line(times[q:], values[q:])
	span := float64(times[len(times)-1]-times[0]) / 1000
	return growth{slope: b, tail: tail, from: a, to: a + b*span, fit: fit}, true
}

// longestRun without a drop below half of the peak before it.
func longestRun(values []float64) (lo, hi int) {
	start, peak := 0, 0.0
	for i, v := range values {
		if v < leakDrop*peak {
			start, peak = i, 0
		}
		peak = max(peak, v)
		if i+1-start > hi-lo {
			lo, hi = start, i+1
		}
	}
	return lo, hi
}

// line by least squares: value at the first time, slope a s, r squared.
func line(times []int64, values []float64) (at, slope, fit float64) {
	x := make([]float64, len(times))
	for i, t := range times {
		x[i] = float64(t-times[0]) / 1000
	}
	at, slope = stat.LinearRegression(x, values, nil, false)
	return at, slope, clamp01(stat.RSquared(x, values, nil, at, slope))
}

func (g *growth) leaks(limit float64, limited bool) bool {
	if g.slope <= 0 || g.tail < leakTail*g.slope {
		return false
	}
	if limited && limit > 0 {
		return g.to-g.from >= leakGrowth*limit
	}
	return g.to-g.from >= leakNoLimit
}

func (p *Pass) reportLeak(e evidence.Entity, w *witness, g growth, limit float64) {
	against := leakAssumed * g.from
	if limit > 0 {
		against = limit
	}
	facts := map[string]string{"service": e.Service, "container": consumerName(e), "rate": bytesText(g.slope * 3600), "from": bytesText(g.from), "to": bytesText(g.to)}
	if limit > g.to {
		h := (limit - g.to) / g.slope / 3600
		facts["hours"], facts["limit"] = decimals(h, 1), bytesText(limit)
		p.Report(Finding{Kind: FindLeakLimit, Entity: e, Value: h, Unit: "h", Text: fmt.Sprintf("its limit is reached in %.1f h at this rate", h)})
	}
	f := Finding{Kind: FindLeak, Entity: e, Value: per(g.to-g.from, against), Unit: "1", Refs: []evidence.Ref{w.ref()}, Facts: facts,
		Text:   fmt.Sprintf("the memory of %s grew from %s to %s in a straight line and still does", e, bytesText(g.from), bytesText(g.to)),
		Charts: []Chart{{Title: "Memory", Unit: "By", Limit: limit, LimitName: "limit", Lines: []Line{{Name: e.String(), Times: w.times, Values: w.values}}}}}
	s := stall{service: e.Service, stalled: p.spansAt(e)}
	f.Impact, f.Victims = p.stallImpact(s, presence{times: w.times, values: w.values, none: g.from + 0.3*(g.to-g.from), full: g.to})
	p.Report(f)
	p.Report(Finding{Kind: FindLeakSteady, Entity: e, Value: per(g.tail, g.slope), Unit: "1", Text: fmt.Sprintf("in the last quarter it grew %.1f times as fast as over all", per(g.tail, g.slope))})
	p.Report(Finding{Kind: FindLeakFit, Entity: e, Value: g.fit, Unit: "1", Text: fmt.Sprintf("a straight line explains %s of its course", percent(g.fit))})
	r := p.latencyCorrelation(e.Service, w.times, w.values)
	p.Report(Finding{Kind: overlap(FindLeak), Entity: e, Value: max(r, 0), Unit: "1", Text: fmt.Sprintf("it and the p95 of %s rise together (rank correlation %.2f)", e.Service, r)})
}
