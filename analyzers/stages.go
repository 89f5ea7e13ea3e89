package analyzers

import (
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// How the load's stages are told apart.
const (
	// stageBins is the finest cut of the window: a load test has a handful of
	// stages, and the search costs the square of it.
	stageBins = 60
	// fewestStageBins below which no profile is seen.
	fewestStageBins = 6
	// shortestStage: what lasts less than this part of the window is a wobble
	// of another stage, but for the wait before the load begins.
	shortestStage = 15
	// rampShare: a stage whose rate changes by less than this share of the peak
	// from its start to its end is level.
	rampShare = 0.2
	// leastNoise is the relative noise below which a rate is not trusted to be
	// known, so that a perfectly even load is not cut at rounding errors.
	leastNoise = 0.02
)

// Names of stages.
const (
	stageUp    = "ramp up"
	stageLevel = "plateau"
	stageDown  = "ramp down"
	stageIdle  = "idle"
)

// stagesOf derives the load's stages from the request rate over the window:
// change points of a piecewise linear fit, by optimal partitioning (Jackson et
// al., IEEE Signal Processing Letters 12, 2005) with a penalty in the manner of
// the Bayesian information criterion, three parameters a stage. Target is the
// mean rate in requests/s. Nil where no rate is seen, or no more than a level.
func stagesOf(b *evidence.Bundle) []evidence.Stage {
	rates, step := requestRates(b)
	peak := 0.0
	for _, r := range rates {
		peak = max(peak, r)
	}
	if len(rates) < fewestStageBins || peak == 0 {
		return nil
	}
	start := b.Window.Start.UnixMilli()
	var out []evidence.Stage
	for _, s := range partition(rates, peak) {
		name, level := s.name(peak), mean(rates[s.from:s.to])
		from, to := start+int64(s.from)*step, min(start+int64(s.to)*step, b.Window.End.UnixMilli())
		if n := len(out) - 1; n >= 0 && out[n].Name == name && (name != stageLevel || math.Abs(out[n].Target-level) < rampShare/2*peak) {
			weight := float64(out[n].End-out[n].Start) / float64(to-out[n].Start)
			out[n].Target, out[n].End = weight*out[n].Target+(1-weight)*level, to
			continue
		}
		out = append(out, evidence.Stage{Name: name, Start: from, End: to, Target: level})
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// requestRates is the rate in requests/s per bin and the width of a bin in ms:
// what the generator says that it sent, else what the services by which
// requests enter answered, else all services together, whose level says less
// than its course.
func requestRates(b *evidence.Bundle) (rates []float64, step int64) {
	var lines []Line
	for i := range b.Series {
		if s := &b.Series[i]; s.Kind == evidence.LoadSent {
			lines = append(lines, Line{Times: s.Times, Values: s.Values})
		}
	}
	if len(lines) == 0 && b.Has(evidence.ServerLatency) {
		lines = answered(b, entryServices(b))
	}
	if len(lines) == 0 {
		return nil, 0
	}
	step = max(b.Window.Duration().Milliseconds()/stageBins, 1000)
	for _, l := range lines {
		if n := len(l.Times); n > 1 {
			step = max(step, (l.Times[n-1]-l.Times[0])/int64(n-1))
		}
	}
	n := int(b.Window.Duration().Milliseconds() / step)
	rates = make([]float64, n)
	for _, l := range lines {
		for i, r := range onBins(l, b.Window.Start.UnixMilli(), step, n) {
			rates[i] += r
		}
	}
	return rates, step
}

// answered are the request rates of services' operations, all services' where
// none is named.
func answered(b *evidence.Bundle, services []string) []Line {
	var out []Line
	for i := range b.Histograms {
		h := &b.Histograms[i]
		if h.Kind != evidence.ServerLatency || h.Entity.Instance != "" || len(services) > 0 && !slices.Contains(services, h.Entity.Service) {
			continue
		}
		l := Line{Times: h.Times}
		for _, row := range h.Rates {
			l.Values = append(l.Values, sum(row))
		}
		out = append(out, l)
	}
	return out
}

// entryServices answer requests that no other span made.
func entryServices(b *evidence.Bundle) []string {
	var out []string
	for i := range b.Spans {
		if s := &b.Spans[i]; s.Parent.IsZero() && s.Kind == evidence.KindServer && !slices.Contains(out, s.Service) {
			out = append(out, s.Service)
		}
	}
	return out
}

// onBins takes the mean of the points in each bin; a bin without one keeps the
// level of the one before.
func onBins(l Line, start, step int64, n int) []float64 {
	out, seen := make([]float64, n), make([]float64, n)
	for i, t := range l.Times {
		if k := (t - start) / step; t >= start && k < int64(n) {
			out[k] += l.Values[i]
			seen[k]++
		}
	}
	for k := range out {
		switch {
		case seen[k] > 0:
			out[k] /= seen[k]
		case k > 0:
			out[k] = out[k-1]
		}
	}
	return out
}

// segment is a run of bins with its linear fit.
type segment struct {
	from, to    int // bins, half-open
	first, last float64
}

func (s segment) name(peak float64) string {
	switch change := s.last - s.first; {
	case change > rampShare*peak:
		return stageUp
	case change < -rampShare*peak:
		return stageDown
	case max(s.first, s.last) < leastNoise*peak:
		return stageIdle
	}
	return stageLevel
}

// partition finds the cuts that minimise squared error plus penalty.
func partition(rates []float64, peak float64) []segment {
	n := len(rates)
	noise := max(roughness(rates), leastNoise*peak)
	penalty := 3 * noise * noise * math.Log(float64(n))
	shortest := max(2, n/shortestStage)
	best, cut := make([]float64, n+1), make([]int, n+1)
	for to := 1; to <= n; to++ {
		best[to] = math.Inf(1)
		for from := 0; from < to; from++ {
			if to-from < shortest && from > 0 {
				continue
			}
			_, _, sse := linear(rates[from:to])
			if c := best[from] + sse + penalty; c < best[to] {
				best[to], cut[to] = c, from
			}
		}
	}
	var out []segment
	for to := n; to > 0; to = cut[to] {
		first, last, _ := linear(rates[cut[to]:to])
		out = append(out, segment{cut[to], to, first, last})
	}
	slices.Reverse(out)
	return out
}

// roughness estimates the noise of a series whose level may change: the median
// absolute second difference, scaled to a standard deviation (1.4826 for the
// median, sqrt 6 for the weights 1, -2, 1).
func roughness(values []float64) float64 {
	var d []float64
	for i := 2; i < len(values); i++ {
		d = append(d, math.Abs(values[i]-2*values[i-1]+values[i-2]))
	}
	return 1.4826 / math.Sqrt(6) * quantile(d, 0.5)
}

// linear is the least-squares line through values: its first and last value,
// and the sum of squares beside it.
func linear(values []float64) (first, last, sse float64) {
	n := float64(len(values))
	if n == 1 {
		return values[0], values[0], 0
	}
	var sx, sy, sxx, sxy float64
	for i, v := range values {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+v, sxx+x*x, sxy+x*v
	}
	slope := (n*sxy - sx*sy) / (n*sxx - sx*sx)
	first = (sy - slope*sx) / n
	for i, v := range values {
		d := v - first - slope*float64(i)
		sse += d * d
	}
	return first, first + slope*(n-1), sse
}
