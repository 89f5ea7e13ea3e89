package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

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
	// levelStep is the ratio by which two numbers in flight differ that are two
	// levels, and widestLevels what they must span: within less a line, which any
	// two constants make, is as good as the law.
	levelStep    = 1.15
	widestLevels = 3.0
	// mostLeft is the relative error, as a root of the mean square, beyond which
	// the law does not describe the run: other things than its load changed.
	mostLeft = 0.10
	// fewestRuns in standard deviations below what chance makes: so few changes
	// of sign along N mean that the curve has another shape (Wald and Wolfowitz,
	// Annals of Mathematical Statistics 11, 1940; one in 2,000 by chance).
	fewestRuns = -3.29
	// farthestPeak times the most that was in flight, or the highest rate.
	farthestPeak = 3.0
)

// loadSlice is a stretch of the run: requests in flight, requests/s.
type loadSlice struct{ n, x float64 }

// scalabilityOf a run; nil where nobody saw what was asked of the system.
func scalabilityOf(p *Pass) *Scalability {
	slices, why := p.loadSlices()
	if slices == nil && why == "" {
		return nil
	}
	s := &Scalability{Why: why, Slices: len(slices), Levels: levelsOf(slices)}
	for _, l := range slices {
		s.Seen, s.SeenRate = max(s.Seen, l.n), max(s.SeenRate, l.x)
	}
	if s.Why = cmp.Or(s.Why, s.tooFew(slices)); s.Why == "" {
		s.Why = s.fit(slices)
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
	out := []loadSlice{}
	for i := range rate {
		if rate[i] > 0 && busy[i] > 0 {
			out = append(out, loadSlice{n: busy[i], x: rate[i]})
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

// levelsOf counts the numbers in flight that are levelStep apart.
func levelsOf(in []loadSlice) int {
	sorted := slices.SortedFunc(slices.Values(in), func(a, b loadSlice) int { return cmp.Compare(a.n, b.n) })
	levels, last := 0, 0.0
	for _, l := range sorted {
		if l.n >= last*levelStep {
			levels, last = levels+1, l.n
		}
	}
	return levels
}

// tooFew says why the load does not carry the law, "" where it may.
func (s *Scalability) tooFew(in []loadSlice) string {
	least := math.Inf(1)
	for _, l := range in {
		least = min(least, l.n)
	}
	switch {
	case s.Levels < fewestLevels || len(in) < 2*fewestLevels:
		return fmt.Sprintf("the load had %d levels that are told apart, and %d are needed", s.Levels, fewestLevels)
	case s.Seen < widestLevels*least:
		return fmt.Sprintf("the load spans %.1f times its least, and %.0f times are needed", s.Seen/least, widestLevels)
	case s.Seen < 2:
		return "hardly ever were two requests in flight at once: none waited for another"
	}
	return ""
}

// fit finds the constants with their intervals by resampling slices; it says
// why not where the law does not describe them.
func (s *Scalability) fit(in []loadSlice) string {
	law, ok := lawOf(in)
	if !ok {
		return "throughput does not grow with what is in flight"
	}
	if left, runs := law.misfit(in); left > mostLeft {
		return fmt.Sprintf("its curve misses the run by %s: other things than the load changed", percent(left))
	} else if runs < fewestRuns {
		return "the run bends otherwise than its curve: other things than the load changed"
	}
	random := rand.New(rand.NewPCG(uint64(len(in)), uint64(s.Levels)))
	var all []law3
	drawn := make([]loadSlice, len(in))
	for range resamples {
		for i := range drawn {
			drawn[i] = in[random.IntN(len(in))]
		}
		if l, ok := lawOf(drawn); ok {
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

// law3 is the mean time of a request with N in flight, in s:
// a + b(N-1) + cN(N-1), which is the law with λ=1/a, σ=b/a, κ=c/a.
type law3 [3]float64

func (l law3) each() float64       { return 1 / l[0] }
func (l law3) contention() float64 { return l[1] / l[0] }
func (l law3) coherency() float64  { return l[2] / l[0] }
func (l law3) peak() float64       { return math.Sqrt(max(0, 1-l.contention()) / l.coherency()) }
func (l law3) rate(n float64) float64 {
	return n / (l[0] + l[1]*(n-1) + l[2]*n*(n-1))
}

// lawOf slices by least squares of the relative error. None of the constants is
// negative: where the best fit has such a one, the best without one or two of
// them counts. False where none does.
func lawOf(in []loadSlice) (law3, bool) {
	normal := normalOf(in)
	if l, _, ok := normal.solve([]int{0, 1, 2}); ok {
		return l, true
	}
	var best law3
	least := math.Inf(1)
	for _, terms := range [][]int{{0, 1}, {0, 2}, {0}} {
		if l, left, ok := normal.solve(terms); ok && left < least {
			best, least = l, left
		}
	}
	return best, !math.IsInf(least, 1)
}

// normalEquations of the relative error of a request's time, its terms scaled to
// at most one at the most requests in flight.
type normalEquations struct {
	most float64
	a    [3][3]float64
	b    [3]float64
}

func normalOf(in []loadSlice) *normalEquations {
	e := &normalEquations{most: 1}
	for _, s := range in {
		e.most = max(e.most, s.n)
	}
	for _, s := range in {
		w := s.x / s.n
		row := [3]float64{w, w * (s.n - 1) / e.most, w * s.n * (s.n - 1) / (e.most * e.most)}
		for i := range row {
			e.b[i] += row[i]
			for k := range row {
				e.a[i][k] += row[i] * row[k]
			}
		}
	}
	return e
}

// solve for some of the terms; left is the squared error but for a constant.
func (e *normalEquations) solve(terms []int) (l law3, left float64, ok bool) {
	a, b := mat.NewSymDense(len(terms), nil), mat.NewVecDense(len(terms), nil)
	for i, t := range terms {
		b.SetVec(i, e.b[t])
		for k, u := range terms {
			a.SetSym(i, k, e.a[t][u])
		}
	}
	var factors mat.Cholesky
	var x mat.VecDense
	if !factors.Factorize(a) || factors.SolveVecTo(&x, b) != nil {
		return l, 0, false
	}
	for k, t := range terms {
		l[t] = x.AtVec(k) / math.Pow(e.most, float64(t))
	}
	return l, -mat.Dot(&x, b), l[0] > 0 && l[1] >= 0 && l[2] >= 0
}

// misfit is the root of the mean squared relative error of a request's time, and
// by how many standard deviations its sign changes more often along N than by
// chance: below 0 less often.
func (l law3) misfit(in []loadSlice) (left, runs float64) {
	sorted := slices.SortedStableFunc(slices.Values(in), func(a, b loadSlice) int { return cmp.Compare(a.n, b.n) })
	var above, below, changes float64
	was := 0.0
	for _, s := range sorted {
		e := s.n/s.x/(s.n/l.rate(s.n)) - 1
		left += e * e / float64(len(in))
		if e > 0 {
			above++
		} else {
			below++
		}
		if e*was <= 0 {
			changes++
		}
		was = e
	}
	n := above + below
	expected := 2*above*below/n + 1
	if spread := math.Sqrt((expected - 1) * (expected - 2) / max(n-1, 1)); spread > 0 {
		runs = (changes - expected) / spread
	}
	return math.Sqrt(left), runs
}
