package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Scalability is the universal scalability law (Gunther, Guerrilla Capacity
// Planning, 2007) fitted to the slices of a run:
//
//	X(N) = λN / (1 + σ(N-1) + κN(N-1))
//
// with X requests/s answered while N are in flight. Where the run does not carry
// it Why says so, and nothing else is set.
type Scalability struct {
	Why       string
	Slices    int     // that it was fitted to
	Levels    int     // distinct ones of N among them
	Seen      float64 // most requests in flight
	SeenRate  float64 // requests/s, highest
	Each      Between // λ, requests/s that one in flight at a time gets
	Contend   Between // σ, share of the work that waits for its turn
	Coherency Between // κ, cost of each pair that must agree
	// Peak is the number in flight beyond which throughput falls, PeakRate the
	// throughput there; both 0 where coherency is not told from none, or they
	// lie too far from what was seen.
	Peak, PeakRate Between
	// Bound is the throughput that contention allows at most, where there is no
	// peak; 0 where that, too, is not told from none, or lies too far away.
	Bound Between
}

// Between is a value with its 95 % interval.
type Between struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

const (
	// fewestLevels: the law has three constants, and Gunther asks for half a
	// dozen loads to tell a curve from its noise.
	fewestLevels = 6
	// levelStep is the ratio by which two loads differ that are two levels, and
	// widestLevels what they must span: within less a line, which any two
	// constants make, is as good as the law.
	levelStep    = 1.15
	widestLevels = 3.0
	// mostLeft is the relative error of the levels, as a root of the mean square,
	// beyond which the law does not describe the run, and mostSpread that of the
	// slices of a level about its mean: other things than the load changed.
	mostLeft   = 0.10
	mostSpread = 0.30
	// fewestRuns in standard deviations below what chance makes: so few changes
	// of sign along N mean that the curve has another shape (Wald and Wolfowitz,
	// Annals of Mathematical Statistics 11, 1940; one in 2,000 by chance).
	fewestRuns = -3.29
	// farthestPeak times the most that was in flight, or the highest rate.
	farthestPeak = 3.0
)

// loadSlice is a stretch of the run: requests in flight, requests/s, and the
// load that was put on it, which neither of the two has a part in: users, where
// the generator tells them. Where it does not, the rate stands for it, which
// holds for loads that do not wait for answers. What is in flight never does: it
// grows with every delay, and would make any disturbance a level of the load.
type loadSlice struct{ n, x, load float64 }

// loadLevel is the mean of the slices of one load.
type loadLevel struct{ n, x, slices float64 }

// scalabilityOf a run; nil where nobody saw what was asked of the system.
func scalabilityOf(p *Pass) *Scalability {
	in, why := p.loadSlices()
	if in == nil && why == "" {
		return nil
	}
	slices.SortStableFunc(in, func(a, b loadSlice) int { return cmp.Compare(a.load, b.load) })
	level := levelsOf(in)
	s := &Scalability{Why: why, Slices: len(in)}
	for i, l := range in {
		s.Seen, s.SeenRate, s.Levels = max(s.Seen, l.n), max(s.SeenRate, l.x), level[i]+1
	}
	if s.Why = cmp.Or(s.Why, s.tooFew(in)); s.Why == "" {
		s.Why = s.fit(in, level)
	}
	if s.Why != "" {
		return &Scalability{Why: s.Why}
	}
	return s
}

// loadSlices cuts the window into stretches no shorter than the window of the
// rates, so that no two share requests. What is in flight follows from Little's
// law (Operations Research 9, 1961): the rate times the mean time of a request.
func (p *Pass) loadSlices() ([]loadSlice, string) {
	entries := p.entryLatencies()
	if len(entries) == 0 {
		return nil, ""
	}
	w := p.Bundle.Window
	step := max(w.Duration().Milliseconds()/stageBins, 1000)
	for _, h := range entries {
		if len(h.Sum) != len(h.Times) {
			return nil, "the mean time of a request is not known"
		}
		step = max(step, int64(h.Over*1000))
	}
	n := int(w.Duration().Milliseconds() / step)
	rate, busy := make([]float64, n), make([]float64, n)
	for _, h := range entries {
		l := Line{Times: h.Times}
		for _, row := range h.Rates {
			l.Values = append(l.Values, sum(row))
		}
		addBins(rate, onBins(l, w.Start.UnixMilli(), step, n))
		addBins(busy, onBins(Line{Times: h.Times, Values: h.Sum}, w.Start.UnixMilli(), step, n))
	}
	load := p.usersOn(w.Start.UnixMilli(), step, n)
	if load == nil {
		load = rate
	}
	out := []loadSlice{}
	for i := range rate {
		if rate[i] > 0 && busy[i] > 0 && load[i] > 0 {
			out = append(out, loadSlice{n: busy[i], x: rate[i], load: load[i]})
		}
	}
	return out, ""
}

func addBins(to, values []float64) {
	for i, v := range values {
		to[i] += v
	}
}

// entryLatencies are the latencies of what users ask: as the generator measures
// them, else of the services by which requests enter.
func (p *Pass) entryLatencies() []*evidence.Histogram {
	services := entryServices(p.Bundle)
	var client, server []*evidence.Histogram
	for i := range p.Bundle.Histograms {
		switch h := &p.Bundle.Histograms[i]; {
		case h.Kind == evidence.LoadLatency:
			client = append(client, h)
		case h.Kind == evidence.ServerLatency && h.Entity.Instance == "" && slices.Contains(services, h.Entity.Service):
			server = append(server, h)
		}
	}
	if len(client) > 0 {
		return client
	}
	return server
}

// usersOn bins of the window, as the generator tells them; nil where it does not.
func (p *Pass) usersOn(start, step int64, n int) []float64 {
	var out []float64
	for _, s := range p.seriesOf(evidence.LoadUsers, func(evidence.Entity) bool { return true }) {
		if out == nil {
			out = make([]float64, n)
		}
		addBins(out, onBins(Line{Times: s.Times, Values: s.Values}, start, step, n))
	}
	return out
}

// levelsOf slices by rising load: the number of each one's level, from 0.
func levelsOf(in []loadSlice) []int {
	out := make([]int, len(in))
	level, first := -1, 0.0
	for i, l := range in {
		if l.load >= first*levelStep {
			level, first = level+1, l.load
		}
		out[i] = level
	}
	return out
}

// meansOf the levels of some slices, those that have any.
func meansOf(in []loadSlice, level []int, levels int) []loadLevel {
	all := make([]loadLevel, levels)
	for i, l := range in {
		m := &all[level[i]]
		m.n, m.x, m.slices = m.n+l.n, m.x+l.x, m.slices+1
	}
	out := all[:0]
	for _, m := range all {
		if m.slices > 0 {
			out = append(out, loadLevel{m.n / m.slices, m.x / m.slices, m.slices})
		}
	}
	return out
}

// tooFew says why the load does not carry the law, "" where it may.
func (s *Scalability) tooFew(in []loadSlice) string {
	switch {
	case s.Levels < fewestLevels || len(in) < 2*fewestLevels:
		return fmt.Sprintf("the load had %d levels that are told apart, and %d are needed", s.Levels, fewestLevels)
	case in[len(in)-1].load < widestLevels*in[0].load:
		return fmt.Sprintf("the load spans %.1f times its least, and %.0f times are needed", in[len(in)-1].load/in[0].load, widestLevels)
	case s.Seen < 2:
		return "hardly ever were two requests in flight at once: none waited for another"
	}
	return ""
}

// fit finds the constants with their intervals by resampling slices; it says
// why not where the law does not describe them.
func (s *Scalability) fit(in []loadSlice, level []int) string {
	means := meansOf(in, level, s.Levels)
	law, ok := lawOf(means)
	if !ok {
		return "throughput does not grow with what is in flight"
	}
	left, runs := law.misfit(means)
	switch spread := spreadOf(in, level, means); {
	case spread > mostSpread:
		return fmt.Sprintf("under the same load requests took %s more or less: other things than the load changed", percent(spread))
	case left > mostLeft:
		return fmt.Sprintf("its curve misses the run by %s: other things than the load changed", percent(left))
	case runs < fewestRuns:
		return "the run bends otherwise than its curve: other things than the load changed"
	}
	random := rand.New(rand.NewPCG(uint64(len(in)), uint64(s.Levels)))
	var all []law3
	drawn, at := make([]loadSlice, len(in)), make([]int, len(in))
	for range resamples {
		for i := range drawn {
			k := random.IntN(len(in))
			drawn[i], at[i] = in[k], level[k]
		}
		if l, ok := lawOf(meansOf(drawn, at, s.Levels)); ok {
			all = append(all, l)
		}
	}
	if len(all) < resamples*9/10 {
		return "its constants depend on a few moments of the run"
	}
	over := func(of func(law3) float64) Between {
		values := make([]float64, len(all))
		for i, l := range all {
			values[i] = of(l)
		}
		low, high := middle95(values)
		at := of(law)
		return Between{at, min(low, at), max(high, at)}
	}
	s.Each, s.Contend, s.Coherency = over(law3.each), over(law3.contention), over(law3.coherency)
	s.limits(over)
	return ""
}

// limits states the peak, or the bound, where they are known.
func (s *Scalability) limits(over func(func(law3) float64) Between) {
	if s.Coherency.Low > 0 {
		peak, rate := over(law3.peak), over(func(l law3) float64 { return l.rate(l.peak()) })
		if peak.High <= farthestPeak*s.Seen && peak.Low >= 1 {
			s.Peak, s.PeakRate = peak, rate
		}
		return
	}
	if bound := over(func(l law3) float64 { return l.each() / l.contention() }); s.Contend.Low > 0 && bound.High <= farthestPeak*s.SeenRate {
		s.Bound = bound
	}
}

// spreadOf the slices' mean times about those of their levels: relative, the
// root of the mean square.
func spreadOf(in []loadSlice, level []int, means []loadLevel) float64 {
	sum := 0.0
	for i, l := range in {
		m := means[level[i]]
		e := l.n/l.x/(m.n/m.x) - 1
		sum += e * e
	}
	return math.Sqrt(sum / float64(len(in)))
}
