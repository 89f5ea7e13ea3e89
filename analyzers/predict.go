package analyzers

import (
	"fmt"
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// fewestTraces below which no prediction is made: an order statistic of
	// four says nothing about a tail.
	fewestTraces = 5
	// fewestTail is the number of traces at or beyond the percentile below
	// which a 95 % bootstrap interval covers less than nine tenths (measured
	// on a spiky log-normal cause: 93 % with 20, 73 % with 5).
	fewestTail = 20
)

// Predict says what a percentile of an operation would be with something
// removed: each trace is cut and re-timed, and the weighted percentile taken
// again. cut may give nil for a trace it leaves alone. The result is nil with
// fewer than five traces of the operation.
//
// The interval joins the 95 % percentile interval of the saving over resampled
// traces, the percentile re-taken each time, so that it knows how loosely few
// traces fix a tail, with how far what is left may lie from what another run
// without the mechanism would show. The same traces give the same interval.
func Predict(traces []*Trace, target evidence.Entity, q float64, cut func(*Trace) Cuts) *Impact {
	return newSample(traces, target).predict(q, traces, cut)
}

// leftSpread is the standard deviation of the logarithm of what is left over
// what a run without the mechanism shows: noise between runs (assumedSpread),
// and what re-timing does not know, which is most of it. It was read off the
// recorded faults of testdata/scoreboard.md; testdata/repeats has the noise.
const leftSpread = 0.3

// widen the interval by what is left: by as much of its 95 % range as the
// mechanism is of the percentile, for where nothing is taken out nothing is
// foretold. Both sources of error are independent and add up in squares.
func (i *Impact) widen() {
	factor, saved := math.Exp(1.96*leftSpread), i.Saved()
	reach := i.Share() * i.Then
	i.Low = max(0, saved-math.Hypot(saved-i.Low, reach*(factor-1)))
	i.High = min(i.Now, saved+math.Hypot(i.High-saved, reach*(1-1/factor)))
}

func newSample(traces []*Trace, target evidence.Entity) *requestSample {
	s := &requestSample{target: target}
	for _, t := range traces {
		s.add(t, t.requests(target))
	}
	s.sort()
	return s
}

// predict is Predict at the tail, from what is known of the operation
// already: in the whole window, or in its spell where the mechanism is more of
// the tail then. Only the traces touched, in their order, can change.
func (f *Facts) predict(target evidence.Entity, touched []*Trace, cut func(*Trace) Cuts) *Impact {
	s := f.index.asked[target]
	if s == nil {
		return nil
	}
	whole := s.predict(tracedTail, touched, cut)
	if at := f.index.spells[target]; at != nil && whole != nil {
		if i := at.sample.predict(tracedTail, touched, cut); i != nil && i.Share() > whole.Share() {
			i.Spell = at.spell
			return i
		}
	}
	return whole
}

func (s *requestSample) predict(q float64, touched []*Trace, cut func(*Trace) Cuts) *Impact {
	if len(s.traces) < fewestTraces {
		return nil
	}
	now := ordered{s.durations, s.byDuration}
	then := s.without(touched, cut)
	i := &Impact{Operation: s.target, Percentile: q, Now: seconds(s.percentile(now, q, recorded)), Then: seconds(s.percentile(then, q, recorded))}
	i.Method = s.method(q)
	i.Low, i.High = s.savings(then, q)
	i.Low, i.High = min(i.Low, i.Saved()), max(i.High, i.Saved())
	i.widen()
	i.Distribution = s.distribution(now, then)
	return i
}

// distributionSteps cut a distribution as finely as a chart of it can show.
const distributionSteps = 40

// distribution of the latency now and then at equal steps of share, with the
// tail drawn out.
func (s *requestSample) distribution(now, then ordered) []Quantile {
	out := make([]Quantile, distributionSteps)
	shares := make([]float64, distributionSteps)
	for k := range shares {
		shares[k] = float64(k+1) / distributionSteps
	}
	shares[distributionSteps-1] = 0.99
	was, would := s.percentiles(now, shares), s.percentiles(then, shares)
	for k := range out {
		out[k] = Quantile{Share: shares[k], Now: seconds(was[k]), Then: seconds(would[k])}
	}
	return out
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// without gives the durations with the cuts taken, in order.
func (s *requestSample) without(touched []*Trace, cut func(*Trace) Cuts) ordered {
	then := slices.Clone(s.durations)
	var changed []int32
	next, k := 0, 0
	var scratch retimer
	for _, t := range touched {
		for next < len(s.traces) && s.traces[next].ordinal < t.ordinal {
			next++
		}
		if next == len(s.traces) {
			break
		}
		if s.traces[next] != t {
			continue
		}
		for k < len(s.requests) && int(s.requests[k].trace) < next {
			k++
		}
		c := cut(t)
		if c == nil {
			continue
		}
		now := scratch.trace(t, c)
		for j := k; j < len(s.requests) && int(s.requests[j].trace) == next; j++ {
			if d := now[s.requests[j].span]; d != then[j] {
				then[j] = d
				changed = append(changed, int32(j))
			}
		}
	}
	return ordered{then, s.reorder(then, changed)}
}

// savings is the 95 % interval of the difference of two percentiles, in s.
func (s *requestSample) savings(then ordered, q float64) (low, high float64) {
	all, was, would := make([]float64, resamples), s.tailsNow(q), s.resampled(then, q)
	for rep := range all {
		all[rep] = seconds(was[rep] - would[rep])
	}
	return middle95(all)
}

// middle95 are the ends of the middle 95 % of a statistic over all resamples,
// which it sorts.
func middle95(values []float64) (low, high float64) {
	slices.Sort(values)
	return values[len(values)*25/1000], values[len(values)*975/1000]
}

func (s *requestSample) method(q float64) string {
	threshold, tail := s.percentile(ordered{s.durations, s.byDuration}, q, recorded), 0
	for _, d := range s.durations {
		if d >= threshold {
			tail++
		}
	}
	if tail < fewestTail {
		return fmt.Sprintf("what-if on %s, indicative: %d in the tail", evidence.Counted(len(s.traces), "trace"), tail)
	}
	return "what-if on " + evidence.Counted(len(s.traces), "trace")
}
