package analyzers

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// What is assumed of noise before anything is measured. The variance between
// runs is estimated from few runs, so it is shrunk towards an assumed one that
// counts as so many runs (empirical Bayes, as Smyth does for many genes and few
// arrays: Stat. Appl. Genet. Mol. Biol. 3, 2004).
const (
	// assumedSpread is the standard deviation of log p95 between runs of the
	// same load: repeated runs on dedicated servers of one type differ by up to
	// 9 % (Maricq et al., Taming Performance Variability, OSDI 2018), and tails
	// more than means.
	assumedSpread = 0.08
	assumedRuns   = 2
	// fewestPeers: fewer operations say nothing of what all of them share.
	fewestPeers = 4
)

// movement is how far the p95 of one operation moved against the runs it is
// held against, on a logarithmic scale, and how far noise alone moves it.
type movement struct {
	change *Change
	log    float64
	spread float64 // standard deviation that noise alone gives log
	runs   float64 // degrees of freedom of spread
	delta  float64 // s that it must be at least
	alike  float64 // probability of the shares beyond a bound, were they alike
}

// move measures a change between base, the first of the runs it is held
// against, and a later run. Nil, with the reason in the change, where it cannot.
func move(c *Change, base []*tail, later *tail) *movement {
	bounds := later.bounds
	for _, t := range base {
		bounds = commonBounds(bounds, t.bounds)
	}
	bounds = occupied(bounds, append(slices.Clone(base), later))
	if len(bounds) == 0 {
		c.Verdict, c.Reason = Unknown, "the histograms of the two runs share no bucket bound"
		return nil
	}
	m := &movement{change: c}
	within, ok := m.resample(base[0].onto(bounds), later.onto(bounds))
	if !ok {
		c.Verdict, c.Reason = Unknown, "too few requests for a p95"
		return nil
	}
	var logs []float64
	for _, t := range base {
		if p95 := p95Of(bounds, t.onto(bounds).pooled()); p95 > 0 {
			logs = append(logs, math.Log(p95))
		}
	}
	c.Base.P95, c.Head.P95 = math.Exp(mean(logs)), p95Of(bounds, later.onto(bounds).pooled())
	c.Ratio = per(c.Head.P95, c.Base.P95)
	m.log = math.Log(c.Ratio)
	m.between(logs, within)
	return m
}

// between learns the spread from the base's runs. The noise within runs bounds
// it from below: few repeats may agree by chance.
func (m *movement) between(logs []float64, within float64) {
	k := float64(len(logs))
	m.runs = assumedRuns + k - 1
	squares := assumedRuns * assumedSpread * assumedSpread
	for _, l := range logs {
		squares += (l - mean(logs)) * (l - mean(logs))
	}
	m.delta = unrepeatedDelta
	if k > 1 {
		m.delta = leastDelta
	}
	m.spread = math.Sqrt(max(squares/m.runs*(1+1/k), within*(1+1/k)/2))
}

// resample draws both runs anew from their time bins: the variance of the log
// ratio of their p95s, and the probability of their shares beyond a bound.
func (m *movement) resample(x, y *tail) (within float64, ok bool) {
	all, after := x.pooled(), y.pooled()
	random := rand.New(rand.NewPCG(seedOf(x.entity), uint64(len(x.bins))))
	beyond := around95(x.bounds, all)
	var ratios []float64
	differences := make([][]float64, len(beyond))
	for range resamples {
		a, b := x.resampled(random), y.resampled(random)
		if r := per(p95Of(x.bounds, b), p95Of(x.bounds, a)); r > 0 && !math.IsInf(r, 0) {
			ratios = append(ratios, math.Log(r))
		}
		for i, k := range beyond {
			differences[i] = append(differences[i], shareBeyond(b, k)-shareBeyond(a, k))
		}
	}
	m.alike = 1
	for i, k := range beyond { // Bonferroni over the two bounds
		m.alike = min(m.alike, float64(len(beyond))*sharesAlike(all, after, k, differences[i]))
	}
	return variance(ratios), len(ratios) >= resamples/2
}

// occupied leaves out the bounds below and above which no run has anything:
// durations of spans come in many more buckets than one operation fills.
func occupied(bounds []float64, runs []*tail) []float64 {
	first, last := len(bounds), 0
	for _, t := range runs {
		for k, n := range t.onto(bounds).pooled() {
			if n > 0 {
				first, last = min(first, k), max(last, k)
			}
		}
	}
	return bounds[max(first-1, 0):min(last+1, len(bounds))]
}

// p is the probability of so large a movement by noise alone, in a company
// that moved as it did.
func (m *movement) p(c company) float64 {
	own := m.log / m.spread
	beyond := max(0, math.Abs(own)-max(0, math.Copysign(1, own)*c.shift)) / c.scatter
	t := distuv.StudentsT{Sigma: 1, Nu: m.runs + c.peers}
	return max(m.alike, 2*t.Survival(beyond))
}

// reach is how far noise moves the logarithm of the p95 in 95 of 100 runs.
func (m *movement) reach(c company) float64 {
	t := distuv.StudentsT{Sigma: 1, Nu: m.runs + c.peers}
	return m.spread * (t.Quantile(0.975)*c.scatter + math.Abs(c.shift))
}

// company is how the other operations moved, in their own spreads: what the
// machine, or something that all share, does to each of them.
type company struct{ shift, scatter, peers float64 }

// alone is a company that says nothing.
var alone = company{scatter: 1}

// companyOf movement i, by median and median absolute deviation, so that a few
// that truly changed do not count.
func companyOf(moved []*movement, i int) company {
	var far []float64
	for k, m := range moved {
		if k != i {
			far = append(far, m.log/m.spread)
		}
	}
	if len(far) < fewestPeers {
		return alone
	}
	c := company{shift: quantile(far, 0.5), peers: float64(len(far))}
	for k := range far {
		far[k] = math.Abs(far[k] - c.shift)
	}
	const medianOfNormal = 0.6745 // of the absolute value
	c.scatter = max(1, quantile(far, 0.5)/medianOfNormal)
	return c
}

// settle gives every change its probability, interval and verdict.
//
// Each is held against how the other operations moved (in the manner of the
// genomic control of Devlin and Roeder, Biometrics 55, 1999): when a neighbour
// takes the processor, everything that runs there gets slower. What only that
// explains is unknown, for a change to something that all share looks the same
// from here.
func settle(moved []*movement) {
	byItself, inCompany := make([]float64, len(moved)), make([]float64, len(moved))
	for i, m := range moved {
		c := companyOf(moved, i)
		byItself[i], inCompany[i] = m.p(alone), m.p(c)
		reach := m.reach(c)
		m.change.P, m.change.Floor = inCompany[i], max(leastChange, math.Expm1(reach))
		m.change.Low, m.change.High = math.Exp(m.log-reach), math.Exp(m.log+reach)
	}
	sure, seeming := discovered(inCompany), discovered(byItself)
	for i, m := range moved {
		switch c := m.change; {
		case !c.material(leastChange, m.delta):
		case sure[i] && c.Low > 1:
			c.Verdict = Worse
		case sure[i] && c.High < 1:
			c.Verdict = Better
		case seeming[i] && !sure[i]:
			c.Verdict, c.Reason = Unknown, "the other operations moved as well: the machine, or something that all share"
		}
	}
}

// discovered holds the share of false alarms among those it marks to falseShare.
func discovered(p []float64) []bool {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	passed := 0
	for i, k := range order {
		if p[k] <= falseShare*float64(i+1)/float64(len(p)) {
			passed = i + 1
		}
	}
	out := make([]bool, len(p))
	for _, k := range order[:passed] {
		out[k] = true
	}
	return out
}
