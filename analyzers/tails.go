package analyzers

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// tail is one operation's latency in one run: observations per bucket, in time
// bins that are resampled as wholes, because requests of one second share
// their fate.
type tail struct {
	entity evidence.Entity
	source string
	bounds []float64   // finite upper bounds; one bucket more lies above the last
	bins   [][]float64 // [bin][len(bounds)+1]
	seen   int         // spans that were counted
}

// spanBounds cut durations of spans, in s, into buckets 2 % wide from 100 µs to
// an hour: finer than any percentile of a sample is known.
func spanBounds() []float64 {
	var out []float64
	for b := 1e-4; b < 3600; b *= 1.02 {
		out = append(out, b)
	}
	return out
}

// Sources of a tail.
const (
	fromHistograms = "histograms"
	fromTraces     = "traces"
)

// witnesses are the tails of one run's operations as each source has them.
type witnesses struct{ histograms, traces map[evidence.Entity]*tail }

func witnessesOf(b *evidence.Bundle) *witnesses {
	w := &witnesses{map[evidence.Entity]*tail{}, map[evidence.Entity]*tail{}}
	for i := range b.Histograms {
		h := &b.Histograms[i]
		if h.Kind != evidence.ServerLatency || h.Entity.Instance != "" {
			continue
		}
		t := &tail{entity: h.Entity, source: fromHistograms, bounds: h.Bounds}
		for from, to := range binsOf(b.Window) {
			t.bins = append(t.bins, h.Counts(from, to))
		}
		if t.total() >= 1 { // as a symptom needs
			w.histograms[h.Entity] = t
		}
	}
	addSpanTails(b, w.traces)
	return w
}

func (w *witnesses) of(source string) map[evidence.Entity]*tail {
	if source == fromTraces {
		return w.traces
	}
	return w.histograms
}

// fewestTraced requests from which a p95 is told: five lie beyond it.
const fewestTraced = 100

// sharedSource is by what both runs can be compared: the traces where the
// bucket of the p95 is wider than what should be found in it and they are
// enough, else the histograms; "" where they have nothing in common.
func sharedSource(e evidence.Entity, a, b *witnesses) string {
	switch {
	case a.histograms[e] == nil && b.histograms[e] == nil:
		return fromTraces
	case a.tracesAreFiner(e) && b.tracesAreFiner(e):
		return fromTraces
	case a.histograms[e] == nil || b.histograms[e] == nil:
		return ""
	}
	return fromHistograms
}

// tracesAreFiner: the histogram's bucket is wide, and the traces' p95 lies
// within a tenth of it, so that what was sampled stands for what was counted.
func (w *witnesses) tracesAreFiner(e evidence.Entity) bool {
	h, t := w.histograms[e], w.traces[e]
	if h == nil || t == nil || t.seen < fewestTraced {
		return false
	}
	_, low, high := evidence.QuantileOf(h.bounds, h.pooled(), 0.95)
	p95 := p95Of(t.bounds, t.pooled())
	return high > low*(1+leastChange) && p95 > low*0.9 && p95 < high*1.1
}

// tailsFrom are one operation's in the runs that have it, the base first.
func tailsFrom(runs []*witnesses, source string, e evidence.Entity) []*tail {
	var out []*tail
	for _, r := range runs {
		if t := r.of(source)[e]; t != nil {
			out = append(out, t)
		}
	}
	return out
}

func addSpanTails(b *evidence.Bundle, to map[evidence.Entity]*tail) {
	weights := map[evidence.TraceID]float64{}
	for _, w := range b.Weights {
		weights[w.Trace] = w.Weight
	}
	bounds := spanBounds()
	start, step := b.Window.Start.UnixMilli(), binStep(b.Window)
	n := int((b.Window.Duration().Milliseconds() + step - 1) / step)
	for i := range b.Spans {
		s := &b.Spans[i]
		e := evidence.Entity{Service: s.Service, Operation: OperationOf(s)}
		bin := (s.Start/1e6 - start) / step
		if s.Kind != evidence.KindServer && s.Kind != evidence.KindConsumer || bin < 0 || bin >= int64(n) {
			continue
		}
		t := to[e]
		if t == nil {
			t = &tail{entity: e, source: fromTraces, bounds: bounds, bins: make([][]float64, n)}
			for k := range t.bins {
				t.bins[k] = make([]float64, len(bounds)+1)
			}
			to[e] = t
		}
		weight := weights[s.Trace]
		if weight <= 0 {
			weight = 1
		}
		bucket, _ := slices.BinarySearch(bounds, float64(s.Duration())/1e9)
		t.bins[bin][bucket] += weight
		t.seen++
	}
}

func binStep(w evidence.Window) int64 { return max(w.Duration().Milliseconds()/bins, 2000) }

// binsOf cuts a window as symptoms do.
func binsOf(w evidence.Window) func(func(from, to int64) bool) {
	step := binStep(w)
	return func(yield func(from, to int64) bool) {
		for t := w.Start.UnixMilli(); t < w.End.UnixMilli(); t += step {
			if !yield(t, t+step) {
				return
			}
		}
	}
}

func (t *tail) total() float64 {
	n := 0.0
	for _, bin := range t.bins {
		n += sum(bin)
	}
	return n
}

// sharesAlike is the probability of a difference so large between the shares of
// requests beyond a bound, were they alike: normal, with the greater of the
// bootstrap's standard error and the binomial one with a success and a failure
// added (Agresti and Caffo, Am. Stat. 54, 2000), which does not vanish where a
// run had none beyond.
func sharesAlike(a, b []float64, bucket int, differences []float64) float64 {
	na, nb := sum(a), sum(b)
	pooled := (shareBeyond(a, bucket)*na + shareBeyond(b, bucket)*nb + 1) / (na + nb + 2)
	variance := max(variance(differences), pooled*(1-pooled)*(1/na+1/nb))
	z := math.Abs(shareBeyond(b, bucket)-shareBeyond(a, bucket)) / math.Sqrt(variance)
	return math.Erfc(z / math.Sqrt2)
}

func variance(values []float64) float64 {
	m, v := mean(values), 0.0
	for _, x := range values {
		v += (x - m) * (x - m)
	}
	return per(v, float64(len(values)-1))
}

// commonBounds are those that both have, but for rounding in how they are
// written.
func commonBounds(a, b []float64) []float64 {
	if slices.Equal(a, b) {
		return a
	}
	var out []float64
	for _, x := range a {
		if slices.ContainsFunc(b, func(y float64) bool { return math.Abs(x-y) <= 1e-9*x }) {
			out = append(out, x)
		}
	}
	return out
}

// onto adds buckets up to those of fewer bounds.
func (t *tail) onto(bounds []float64) *tail {
	out := &tail{entity: t.entity, source: t.source, bounds: bounds}
	to := make([]int, len(t.bounds)+1)
	for i := range to {
		to[i] = len(bounds)
		if i < len(t.bounds) {
			to[i], _ = slices.BinarySearch(bounds, t.bounds[i]*(1-1e-9))
		}
	}
	for _, bin := range t.bins {
		row := make([]float64, len(bounds)+1)
		for i, n := range bin {
			row[to[i]] += n
		}
		out.bins = append(out.bins, row)
	}
	return out
}

func (t *tail) pooled() []float64 {
	counts := make([]float64, len(t.bounds)+1)
	for _, bin := range t.bins {
		for i, n := range bin {
			counts[i] += n
		}
	}
	return counts
}

func (t *tail) resampled(random *rand.Rand) []float64 {
	counts := make([]float64, len(t.bounds)+1)
	for range t.bins {
		for i, n := range t.bins[random.IntN(len(t.bins))] {
			counts[i] += n
		}
	}
	return counts
}

// p95Of interpolates the logarithm of time over normal scores: exact for a
// log-normal, which latencies are near to, where the linear interpolation of a
// single report shrinks every change that stays inside a bucket. The first and
// the last bucket have no second bound to do that between. 0 for none.
func p95Of(bounds, counts []float64) float64 {
	v, low, high := evidence.QuantileOf(bounds, counts, 0.95)
	if math.IsNaN(v) {
		return 0
	}
	if low <= 0 || math.IsInf(high, 1) {
		return v
	}
	k, _ := slices.BinarySearch(bounds, high)
	n := sum(counts)
	score := func(bucket int) float64 { // of the share within its bound, never 0 or 1
		within := (n*(1-shareBeyond(counts, bucket)) + 0.5) / (n + 1)
		return math.Sqrt2 * math.Erfinv(2*within-1)
	}
	a, b, at := score(k-1), score(k), math.Sqrt2*math.Erfinv(2*0.95-1)
	if b <= a {
		return v
	}
	part := clamp01((at - a) / (b - a))
	return low * math.Pow(high/low, part)
}

// around95 are the bounds below and above the p95, by their index.
func around95(bounds, counts []float64) []int {
	p95 := p95Of(bounds, counts)
	k, _ := slices.BinarySearch(bounds, p95)
	var out []int
	for _, i := range []int{k - 1, k} {
		if i >= 0 && i < len(bounds) {
			out = append(out, i)
		}
	}
	return out
}

// shareBeyond is the share of observations above the bound of a bucket.
func shareBeyond(counts []float64, bucket int) float64 {
	return per(sum(counts[bucket+1:]), sum(counts))
}

// seedOf makes the same operation give the same interval.
func seedOf(e evidence.Entity) uint64 {
	h := fnv.New64a()
	for _, part := range []string{e.Service, e.Operation} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return h.Sum64()
}
