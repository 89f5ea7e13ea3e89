package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// leastOfStratum is the number of traces below which a range of latency is
	// joined with its neighbour: with fewer one odd trace speaks for all of it
	// (Cochran, Sampling Techniques, 1977, on post-stratification, asks for
	// more than a few).
	leastOfStratum = 10
	// leastOfLongest suffices for the longest range: joined with the one below, a
	// few slow traces would speak for no more requests than as many fast ones,
	// and it is the tail that is asked about.
	leastOfLongest = fewestTraces
	// clockSlack: the middleware that counts a request and the span that
	// records it do not begin and end at the same instant. A sample is biased
	// only if its durations, a tenth longer or shorter, would still be so.
	clockSlack = 0.1
	// biasErrors is how many standard errors of a share tell a biased sample
	// from an unlucky one: chance does it once in 15,000.
	biasErrors = 4
	// mostWeighed bounds the operations of which a note tells.
	mostWeighed = 3
)

// requestTotal is how many requests to an operation took how long: counts of
// the buckets between bounds, in s, over the window.
type requestTotal struct {
	bounds []float64
	counts []float64
	all    float64
}

// weighByHistograms makes the traces of an operation speak for all requests to
// it. A store hands out traces by its own order, and a collector in front of it
// may have kept the slow ones alone; where the histogram of the same operation
// says that the sample's latencies are not those of the requests, the weights
// are set so that they are. A sample that agrees with it stays as it is.
func weighByHistograms(b *evidence.Bundle, traces []*Trace) (notes []string) {
	totals := requestTotals(b, b.Window.Start.UnixMilli(), b.Window.End.UnixMilli())
	if len(totals) == 0 {
		return nil
	}
	byOperation := map[evidence.Entity][]*Trace{}
	for _, t := range traces {
		byOperation[t.asks] = append(byOperation[t.asks], t)
	}
	for _, e := range rootOperations(traces) {
		total, sample := totals[e], byOperation[e]
		if !total.canWeigh(sample) {
			continue
		}
		if note := total.weigh(sample); note != "" && len(notes) < mostWeighed {
			notes = append(notes, fmt.Sprintf("traces of %s %s %s", e.Service, e.Operation, note))
		}
	}
	return notes
}

// canWeigh says whether both are enough to hold a sample against the requests.
func (r *requestTotal) canWeigh(sample []*Trace) bool {
	return len(sample) >= 2*leastOfStratum && r.all >= max(minRequests, float64(len(sample)))
}

// requestTotals by operation, between two times in Unix ms.
func requestTotals(b *evidence.Bundle, from, to int64) map[evidence.Entity]requestTotal {
	totals := map[evidence.Entity]requestTotal{}
	for i := range b.Histograms {
		h := &b.Histograms[i]
		if h.Kind != evidence.ServerLatency || h.Entity.Instance != "" || len(h.Bounds) == 0 {
			continue
		}
		counts := h.Counts(from, to)
		if all := sum(counts); all > totals[h.Entity].all {
			totals[h.Entity] = requestTotal{h.Bounds, counts, all}
		}
	}
	return totals
}

// above is the share of the requests that took longer than a bound.
func (r *requestTotal) above(bound int) float64 { return sum(r.counts[bound+1:]) / r.all }

// weigh gives the traces of a biased sample the weights of the requests they
// stand for, mean as before, and says how far it was off; "" where it was not.
func (r *requestTotal) weigh(sample []*Trace) string {
	slices.SortStableFunc(sample, func(a, b *Trace) int { return cmp.Compare(a.duration(), b.duration()) })
	bound := r.worstBound(sample)
	if bound < 0 {
		bound = r.boundOfTail(sample)
	}
	if bound < 0 {
		return ""
	}
	was := shareAbove(sample, r.bounds[bound])
	all := weightOfAll(sample)
	for _, s := range r.strata(sample) {
		if drawn := weightOfAll(s.traces); drawn > 0 {
			for _, t := range s.traces {
				t.Weight *= s.requests / r.all * all / drawn
			}
		}
	}
	return fmt.Sprintf("were weighed by the histogram of its latency: %s of those sampled took longer than %s, and %s of the requests did",
		percent(was), duration(r.bounds[bound]), percent(r.above(bound)))
}

// worstBound is that at which the sample is furthest from the requests, beyond
// chance and beyond what clocks explain; -1 for none.
func (r *requestTotal) worstBound(sample []*Trace) int {
	worst, most := -1, 0.0
	for k, bound := range r.bounds {
		truth := r.above(k)
		low, high := shareAbove(sample, bound*(1+clockSlack)), shareAbove(sample, bound/(1+clockSlack))
		off := max(low-truth, truth-high)
		if off > biasErrors*standardError(sample, (low+high)/2, truth) && off > most {
			worst, most = k, off
		}
	}
	return worst
}

// boundOfTail is the bound between the p95 of a sample and that of the requests,
// where one is at least double the other beyond its bucket; -1 where it is not.
// Where few requests are very slow, a share that is off by no more than chance
// moves the p95 from the one kind to the other, and it is what is foretold.
func (r *requestTotal) boundOfTail(sample []*Trace) int {
	_, low, high := evidence.QuantileOf(r.bounds, r.counts, tracedTail)
	for k, bound := range r.bounds {
		short := bound == low && shareAbove(sample, bound/degradedRatio) <= 1-tracedTail
		long := bound == high && shareAbove(sample, bound*degradedRatio) > 1-tracedTail
		if short || long {
			return k
		}
	}
	return -1
}

// standardError of a share in a weighted sample, if either the share or the
// truth it stands for were right.
func standardError(sample []*Trace, share, truth float64) float64 {
	sum, squares := 0.0, 0.0
	for _, t := range sample {
		sum += t.Weight
		squares += t.Weight * t.Weight
	}
	spread := max(share*(1-share), truth*(1-truth))
	return math.Sqrt(spread * squares / (sum * sum))
}

// stratum is a range of latency: how many requests took that long, and the
// traces that did.
type stratum struct {
	requests float64
	traces   []*Trace
}

// strata are the histogram's buckets, joined with the next longer until each
// has traces enough. The sample is by duration.
func (r *requestTotal) strata(sample []*Trace) []stratum {
	var out []stratum
	var next stratum
	at := 0
	for k, count := range r.counts {
		end := len(sample)
		if k < len(r.bounds) {
			end = at + lastWithin(sample[at:], r.bounds[k])
		}
		next.requests += count
		next.traces = append(next.traces, sample[at:end]...)
		at = end
		if len(next.traces) >= leastOfStratum {
			out = append(out, next)
			next = stratum{}
		}
	}
	if len(out) == 0 {
		return []stratum{next}
	}
	if len(next.traces) >= leastOfLongest {
		return append(out, next)
	}
	last := &out[len(out)-1]
	last.requests += next.requests
	last.traces = append(last.traces, next.traces...)
	return out
}

// lastWithin counts the traces of a sample by duration that keep within a
// bound, in s.
func lastWithin(sample []*Trace, bound float64) int {
	n, _ := slices.BinarySearchFunc(sample, bound, func(t *Trace, bound float64) int {
		if seconds(t.duration()) <= bound {
			return -1
		}
		return 1
	})
	return n
}

// shareAbove is the weighted share of a sample by duration beyond a bound, in s.
func shareAbove(sample []*Trace, bound float64) float64 {
	return weightOfAll(sample[lastWithin(sample, bound):]) / weightOfAll(sample)
}

func weightOfAll(sample []*Trace) float64 {
	sum := 0.0
	for _, t := range sample {
		sum += t.Weight
	}
	return sum
}

// duration of the request, in ns.
func (t *Trace) duration() int64 { return t.Spans[t.Root].Duration() }
