package analyzers

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Spell is a time in which an operation was slow, in a window in which it was
// not on the whole: twenty slow seconds do not move the p95 of an hour, and
// they are what users write about.
type Spell struct {
	From     int64   `json:"from_ms"` // Unix ms
	To       int64   `json:"to_ms"`   // Unix ms
	Requests float64 `json:"requests"`
	P50      float64 `json:"p50_s"`
	P95      float64 `json:"p95_s"`
	RestP95  float64 `json:"rest_p95_s"` // what is usual: of the median bin of the window

	raised [2]int64 // Unix ms, when the rates show it: they look back
}

const (
	// spellBins is the finest cut of the window: the search costs its square.
	spellBins = 240
	// shortestSpell: of healthy runs the half shows a hiccup of a second or two,
	// of the machine or of a garbage collection; none longer (testdata/repeats
	// and the healthy scenarios).
	shortestSpell = 5.0
	// longestSpell is the share of the window from which on the rest is no
	// measure of what is usual.
	longestSpell = 0.5
	// spellChance that noise alone shows such a spell in an operation, over all
	// the stretches that were looked at (Bonferroni).
	spellChance = 0.001
)

// findSpell looks for the stretch of the window whose p95 stands out most, by
// the mean of its logarithm against the median and the median absolute
// deviation of all bins. Nil where chance may explain it, where it is no longer
// than a hiccup, or where it is not material: at least double what is usual and
// 20 ms more, beyond the error of the buckets, as against a baseline. Sampled
// traces are too few a bin to look for one in them.
func findSpell(w evidence.Window, h *evidence.Histogram) *Spell {
	times, logs, step := spellGrid(w, h)
	over := int64(h.Over * 1000)
	first, last, ok := standsOut(logs, max(1, float64(over)/float64(step)))
	if !ok {
		return nil
	}
	from, to := times[first], times[last]+step
	counts := h.Counts(from, to)
	sp := &Spell{Requests: sum(counts), RestP95: math.Exp(quantile(logs, 0.5)), raised: [2]int64{from, to}}
	var low float64
	sp.P50, _, _ = evidence.QuantileOf(h.Bounds, counts, 0.5)
	sp.P95, low, _ = evidence.QuantileOf(h.Bounds, counts, 0.95)
	beyond := shareAboveLimit(h.Bounds, counts, degradedRatio*sp.RestP95)
	lasts := max(to-from-over, int64(beyond*float64(to-from)))
	if sp.Requests < minRequests || lasts < shortestSpell*1000 || !degraded(sp.P95, low, sp.RestP95) {
		return nil
	}
	// the first rate that shows it is at most one scrape late
	sp.From = max(from-sampleStep(h), w.Start.UnixMilli())
	sp.To = max(to-over, sp.From+lasts)
	return sp
}

// spellGrid is the logarithm of the p95 in equal bins no finer than the
// samples; bins without requests are left out.
func spellGrid(w evidence.Window, h *evidence.Histogram) (times []int64, logs []float64, step int64) {
	step = max(w.Duration().Milliseconds()/spellBins, sampleStep(h), shortestBin)
	for t := w.Start.UnixMilli(); t < w.End.UnixMilli(); t += step {
		if v, _, _ := h.Quantile(0.95, t, t+step); v > 0 {
			times, logs = append(times, t), append(logs, math.Log(v))
		}
	}
	return times, logs, step
}

// sampleStep is the mean distance of a histogram's samples, in ms.
func sampleStep(h *evidence.Histogram) int64 {
	n := len(h.Times) - 1
	if n < 1 {
		return 0
	}
	return (h.Times[n] - h.Times[0]) / int64(n)
}

// standsOut is the stretch of values that is furthest above the rest in
// standard errors, if chance does not explain it. As many neighbours as shared
// count as one value: they tell of the same requests.
func standsOut(values []float64, shared float64) (first, last int, ok bool) {
	n := len(values)
	if n < 2 {
		return 0, 0, false
	}
	centre, scatter := quantile(values, 0.5), scatterOf(values)
	best, stretches := 0.0, 0.0
	for i := range values {
		above := 0.0
		for k := i; k < n && float64(k-i+1) <= longestSpell*float64(n); k++ {
			above += values[k] - centre
			length := float64(k - i + 1)
			stretches++
			if z := above / length / scatter * math.Sqrt(max(1, length/shared)); z > best {
				first, last, best = i, k, z
			}
		}
	}
	t := distuv.StudentsT{Sigma: 1, Nu: max(1, float64(n)/shared-2)}
	return first, last, best > 0 && t.Survival(best)*stretches <= spellChance
}

// scatterOf values as a standard deviation, by their median absolute
// deviation, and no less than repeated runs differ by.
func scatterOf(values []float64) float64 {
	centre := quantile(values, 0.5)
	far := make([]float64, len(values))
	for i, v := range values {
		far[i] = math.Abs(v - centre)
	}
	const medianOfNormal = 0.6745 // of the absolute value
	return max(assumedSpread, quantile(far, 0.5)/medianOfNormal)
}

// shareAboveLimit is the share of observations that surely took longer than a
// limit, in s.
func shareAboveLimit(bounds, counts []float64, limit float64) float64 {
	for k, bound := range bounds {
		if bound >= limit {
			return shareBeyond(counts, k)
		}
	}
	return 0
}

// Text says when, how slow, and what is usual.
func (sp *Spell) Text() string {
	return fmt.Sprintf("was %s from %s, %s otherwise", duration(sp.P95), sp.When(), duration(sp.RestP95))
}

// When it was: 14:03:10 to 14:03:30 UTC.
func (sp *Spell) When() string {
	clock := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.TimeOnly) }
	return clock(sp.From) + " to " + clock(sp.To) + " UTC"
}

// has says whether a time (Unix ms) lies in it.
func (sp *Spell) has(ms int64) bool { return ms >= sp.From && ms < sp.To }

// mark the bins of a symptom that lie in its spell as slow.
func (s *Symptom) markSpell() {
	for i, t := range s.Times {
		if i < len(s.SlowBins) && t < s.Spell.To && t+s.Step > s.Spell.From {
			s.SlowBins[i] = true
		}
	}
}

// inSpell is the symptom as it was in its spell, with the rest of the window
// for a baseline; itself where it has none.
func (s *Symptom) inSpell() *Symptom {
	if s.Spell == nil {
		return s
	}
	in := *s
	in.Requests, in.P50, in.P95, in.BaselineP95 = s.Spell.Requests, s.Spell.P50, s.Spell.P95, s.Spell.RestP95
	in.RPS = s.Spell.Requests * 1000 / float64(s.Spell.raised[1]-s.Spell.raised[0])
	return &in
}

// addSpells samples the requests of each spell by themselves, weighed by what
// the histogram counted then.
func (f *Facts) addSpells(b *evidence.Bundle) {
	f.index.spells = map[evidence.Entity]*spellSample{}
	for i := range f.Symptoms {
		s := &f.Symptoms[i]
		asked := f.index.asked[s.Entity]
		if s.Spell == nil || asked == nil {
			continue
		}
		var traces []*Trace
		for _, t := range asked.traces {
			if s.Spell.has(t.Spans[t.Root].Start / 1e6) {
				traces = append(traces, t)
			}
		}
		f.index.spells[s.Entity] = &spellSample{s.Spell, sampleBy(s.Entity, traces, requestTotals(b, s.Spell.raised[0], s.Spell.raised[1])[s.Entity])}
	}
}

// spellSample is the requests to an operation in its spell.
type spellSample struct {
	spell  *Spell
	sample *requestSample
}

// sampleBy takes the requests of some traces, weighed by a histogram where they
// are enough for that.
func sampleBy(e evidence.Entity, traces []*Trace, total requestTotal) *requestSample {
	s := newSample(traces, e)
	if !total.canWeigh(s.traces) {
		return s
	}
	weighed := make([]*Trace, len(s.traces))
	for i, t := range s.traces {
		own := *t // its weight in the whole window stays
		weighed[i] = &own
	}
	total.weigh(slices.Clone(weighed))
	s.weight = 0
	for i := range s.requests {
		r := &s.requests[i]
		r.weight = weighed[r.trace].Weight
		s.weight += r.weight
	}
	return s
}

// degraded says whether a p95, of which the bucket begins at low, is at least
// double another and 20 ms more, beyond the error of the buckets. All in s.
func degraded(p95, low, baseline float64) bool {
	return baseline > 0 && low >= baseline*degradedRatio*0.75 && p95 >= baseline*degradedRatio && p95-baseline >= degradedFloor
}
