package analyzers

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Limit is the request rate at which a resource is full, the mix of requests
// staying as it was. By the utilisation law (Denning and Buzen, ACM Computing
// Surveys 10, 1978) the share of a resource in use grows in proportion to the
// rate; the line is fitted where the resource is not yet full.
type Limit struct {
	Resource evidence.Entity
	What     string  // what is full then: "cores of the node"
	Peak     float64 // share in use at the highest rate, 0..1
	Seen     float64 // highest rate of the run, requests/s
	Rate     float64 // requests/s at which it is full
	Low      float64 // 95 % interval of Rate
	High     float64
	Reached  int64  // Unix ms when it first was full; 0: it was not
	Query    string // that gave what was used
}

const (
	// full is the share from which a resource counts as full: samples are means
	// over seconds, and hide that it was full in between.
	full = 0.95
	// fullLasts is for how many points in a row it must be: a start fills cores
	// for a moment.
	fullLasts = 3
	// Fewest points of a line, and how much the load must have varied for a
	// line through it to say anything of other loads.
	fewestLoads  = 12
	leastSpread  = 2.0
	leastFit     = 0.5 // share of the variance that the rate explains
	farthestLook = 20  // times the rate that was seen; beyond it a line is no forecast
)

// capacity is a kind of resource: what is in use, and how much there is of it.
type capacity struct {
	used, most evidence.Kind // most "": used is a share already
	what       string
}

// capacities leave out what is opened ahead of need, as connections of a server
// are: their number follows the pools, not the rate.
var capacities = []capacity{
	{evidence.NodeCPUBusy, "", "cores of the node"},
	{evidence.CPUUsage, evidence.CPULimit, "CPU limit of the container"},
	{evidence.PoolHoldTime, evidence.PoolMax, "connections of the pool"},
	{evidence.PoolUsed, evidence.PoolMax, "connections of the pool"},
	{evidence.WorkersBusy, evidence.WorkersMax, "workers"},
	{evidence.EventLoopBusy, "", "event loop"},
	{evidence.CacheServerCPU, "", "core of the cache server"},
	{evidence.DiskBusy, "", "disk"},
	{evidence.FDsOpen, evidence.FDsMax, "file descriptors"},
	{evidence.GPUBusy, "", "GPU"},
}

// limitsOf lists the limits that the run lets foresee, the nearest first. None
// without a rate that varied, or where use does not follow it.
func limitsOf(p *Pass) []Limit {
	rates, step := requestRates(p.Bundle)
	if len(rates) < fewestLoads {
		return nil
	}
	var out []Limit
	for _, c := range capacities {
		for _, e := range p.entitiesOf(c.used) {
			if l, ok := p.limit(c, e, rates, step); ok {
				out = append(out, l)
			}
		}
	}
	slices.SortStableFunc(out, func(x, y Limit) int {
		return cmp.Or(cmp.Compare(x.Rate, y.Rate), x.Resource.Compare(y.Resource), cmp.Compare(x.What, y.What))
	})
	return onceEach(out)
}

// onceEach keeps the nearest of several accounts of one resource.
func onceEach(limits []Limit) []Limit {
	seen := map[[2]string]bool{}
	return slices.DeleteFunc(limits, func(l Limit) bool {
		key := [2]string{l.Resource.String(), l.What}
		again := seen[key]
		seen[key] = true
		return again
	})
}

// limit of one resource; false where no line fits.
func (p *Pass) limit(c capacity, e evidence.Entity, rates []float64, step int64) (Limit, bool) {
	series := p.seriesAt(c.used, e)
	times, used := sumSeries(series)
	size := 1.0
	if c.most != "" {
		var known bool
		if size, known = meanOf(p.seriesAt(c.most, e)); !known || size <= 0 {
			return Limit{}, false
		}
	}
	start := p.Bundle.Window.Start.UnixMilli()
	l := Limit{Resource: e, What: c.what, Query: series[0].Query, Seen: slices.Max(rates)}
	var line loadLine
	lasts := 0
	for i, u := range onBins(Line{Times: times, Values: used}, start, step, len(rates)) {
		u /= size
		if u < full {
			lasts = 0
			line.add(rates[i], u)
		} else if lasts++; lasts == fullLasts && l.Reached == 0 {
			l.Reached = start + int64(i-fullLasts+1)*step
		}
		if rates[i] >= 0.9*l.Seen {
			l.Peak = max(l.Peak, u)
		}
	}
	return l, line.foresees(&l)
}

// loadLine is the use of a resource at each rate.
type loadLine struct{ rate, use []float64 }

func (l *loadLine) add(rate, use float64) {
	l.rate, l.use = append(l.rate, rate), append(l.use, use)
}

// foresees fills in the rate at which the line reaches one, with the interval
// over resampled points; false where the line is none, or too far away.
func (l *loadLine) foresees(to *Limit) bool {
	if len(l.rate) < fewestLoads || slices.Max(l.rate) < leastSpread*max(slices.Min(l.rate), 0.01*to.Seen) {
		return false
	}
	at, fit := fullAt(l.rate, l.use)
	if fit < leastFit || at <= 0 || at > farthestLook*to.Seen {
		return false
	}
	random := rand.New(rand.NewPCG(seedOf(to.Resource), uint64(len(l.rate))))
	var all []float64
	rate, use := make([]float64, len(l.rate)), make([]float64, len(l.rate))
	for range resamples {
		for i := range rate {
			k := random.IntN(len(l.rate))
			rate[i], use[i] = l.rate[k], l.use[k]
		}
		if x, _ := fullAt(rate, use); x > 0 {
			all = append(all, x)
		}
	}
	if len(all) < resamples*9/10 { // the slope is as good as none
		return false
	}
	slices.Sort(all)
	to.Rate, to.Low, to.High = at, min(at, all[len(all)*25/1000]), max(at, all[len(all)*975/1000])
	return true
}

// fullAt is the rate at which the least-squares line of use over rate reaches
// one, and the share of the variance that it explains; 0 where it does not
// rise.
func fullAt(rate, use []float64) (at, fit float64) {
	mx, my := mean(rate), mean(use)
	var xx, xy, yy float64
	for i := range rate {
		dx, dy := rate[i]-mx, use[i]-my
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	if xx == 0 || xy <= 0 || yy == 0 {
		return 0, 0
	}
	slope := xy / xx
	return mx + (1-my)/slope, xy * xy / (xx * yy)
}
