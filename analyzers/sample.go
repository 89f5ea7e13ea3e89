package analyzers

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// resamples is enough for an interval: its ends move by about a twentieth
	// of its width between seeds.
	resamples = 400
	// recorded stands for the sample itself where a resample is asked for.
	recorded = -1
)

// requestSample is the requests of one operation, as sampled, in the order of
// their traces.
type requestSample struct {
	target     evidence.Entity
	requests   []request
	durations  []int64 // of requests, in ns
	byDuration []int32 // requests, the shortest first
	traces     []*Trace
	seeds      []uint64 // by trace
	weight     float64  // of all requests

	drawn  sync.Once
	totals []float64 // weight drawn, by resample

	tailed sync.Once
	tails  []int64 // percentile tracedTail of durations, by resample, in ns
}

type request struct {
	trace  int32 // into traces
	span   int32
	weight float64
}

// ordered is a duration for each request, with the requests from the shortest
// on.
type ordered struct {
	durations []int64
	order     []int32
}

// add takes the requests of one trace in.
func (s *requestSample) add(t *Trace, spans []int32) {
	if len(spans) == 0 {
		return
	}
	for _, i := range spans {
		s.requests = append(s.requests, request{int32(len(s.traces)), i, t.Weight})
		s.durations = append(s.durations, t.Spans[i].Duration())
		s.weight += t.Weight
	}
	s.traces = append(s.traces, t)
	s.seeds = append(s.seeds, mix(binary.BigEndian.Uint64(t.ID[:8]))^mix(binary.BigEndian.Uint64(t.ID[8:])+1))
}

// sort must follow the last add.
func (s *requestSample) sort() {
	s.byDuration = make([]int32, len(s.requests))
	for i := range s.byDuration {
		s.byDuration[i] = int32(i)
	}
	slices.SortFunc(s.byDuration, byDuration(s.durations))
}

func byDuration(of []int64) func(a, b int32) int {
	return func(a, b int32) int { return cmp.Or(cmp.Compare(of[a], of[b]), cmp.Compare(a, b)) }
}

// reorder is the order by durations of which only some changed: these are
// sorted and put among the others.
func (s *requestSample) reorder(durations []int64, changed []int32) []int32 {
	if len(changed) == 0 {
		return s.byDuration
	}
	compare := byDuration(durations)
	slices.SortFunc(changed, compare)
	order := make([]int32, 0, len(durations))
	for _, i := range s.byDuration {
		if durations[i] != s.durations[i] {
			continue
		}
		for len(changed) > 0 && compare(changed[0], i) < 0 {
			order, changed = append(order, changed[0]), changed[1:]
		}
		order = append(order, i)
	}
	return append(order, changed...)
}

// percentile is the smallest duration that at least a share q of the requests
// keeps within, in the sample as recorded or in one of its resamples.
func (s *requestSample) percentile(o ordered, q float64, rep int) int64 {
	if rep != recorded && s.total(rep) == 0 {
		rep = recorded // nothing was drawn: the sample is tiny
	}
	return o.durations[s.reach(o.order, (1-q)*s.total(rep)*(1+1e-12), rep)]
}

// percentiles is percentile for rising shares of the sample as recorded.
func (s *requestSample) percentiles(o ordered, shares []float64) []int64 {
	out, sum := make([]int64, len(shares)), 0.0
	k := len(shares) - 1
	for _, i := range slices.Backward(o.order) {
		sum += s.requests[i].weight
		for ; k >= 0 && sum > (1-shares[k])*s.weight*(1+1e-12); k-- {
			out[k] = o.durations[i]
		}
	}
	for ; k >= 0; k-- {
		out[k] = o.durations[o.order[0]]
	}
	return out
}

// tailsNow are the percentiles of the requests as recorded, by resample. Those
// of the tail are kept: every prediction is compared with them.
func (s *requestSample) tailsNow(q float64) []int64 {
	now := ordered{s.durations, s.byDuration}
	if q != tracedTail {
		return s.resampled(now, q)
	}
	s.tailed.Do(func() { s.tails = s.resampled(now, q) })
	return s.tails
}

// resampled is percentile in every resample, as many at once as are drawn at
// once.
func (s *requestSample) resampled(o ordered, q float64) []int64 {
	out := make([]int64, resamples)
	for rep := 0; rep < len(out); rep += drawsAtOnce {
		s.reachAll(o, q, rep, out[rep:min(rep+drawsAtOnce, len(out))])
	}
	return out
}

// reachAll is percentile in the resamples from the first on.
func (s *requestSample) reachAll(o ordered, q float64, first int, out []int64) {
	var sum, beyond [drawsAtOnce]float64
	open := 0 // resamples whose percentile is not reached, a bit each
	for j := range out {
		beyond[j] = (1 - q) * s.total(first+j) * (1 + 1e-12)
		if out[j] = o.durations[o.order[0]]; beyond[j] == 0 {
			out[j] = s.percentile(o, q, first+j)
			continue
		}
		open |= 1 << j
	}
	for k := len(o.order) - 1; k >= 0 && open != 0; k-- {
		r := &s.requests[o.order[k]]
		drawn := drawBits(s.seeds[r.trace], first)
		for j := range out {
			sum[j] += r.weight * poisson[byte(drawn>>(8*j))]
			if open&(1<<j) != 0 && sum[j] > beyond[j] {
				out[j], open = o.durations[o.order[k]], open&^(1<<j)
			}
		}
	}
}

// reach finds the request beyond which at most a given weight lies. It comes
// from the top: tails are short.
func (s *requestSample) reach(order []int32, beyond float64, rep int) int32 {
	sum := 0.0
	for _, i := range slices.Backward(order) {
		if sum += s.weightOf(i, rep); sum > beyond {
			return i
		}
	}
	return order[0]
}

// weightOf a request in a resample.
func (s *requestSample) weightOf(i int32, rep int) float64 {
	r := &s.requests[i]
	if rep == recorded {
		return r.weight
	}
	return r.weight * draw(s.seeds[r.trace], rep)
}

// total weight of all requests in a resample.
func (s *requestSample) total(rep int) float64 {
	if rep == recorded {
		return s.weight
	}
	s.drawn.Do(s.draw)
	return s.totals[rep]
}

func (s *requestSample) draw() {
	s.totals = make([]float64, resamples)
	weights := make([]float64, len(s.traces))
	for i := range s.requests {
		weights[s.requests[i].trace] += s.requests[i].weight
	}
	for k, seed := range s.seeds {
		for rep := 0; rep < len(s.totals); rep += drawsAtOnce {
			bits := drawBits(seed, rep)
			for j := range s.totals[rep:min(rep+drawsAtOnce, len(s.totals))] {
				s.totals[rep+j] += weights[k] * poisson[byte(bits>>(8*j))]
			}
		}
	}
}

// draw says how often a trace occurs in a resample. Resamples are Poisson
// bootstraps: every trace is drawn by itself, on average once, which agrees
// with drawing as many as there are in all but the smallest samples (Hanley
// and MacGibbon, 2006). What is drawn depends on the trace's id alone, so that
// neither order nor company of the traces matters.
func draw(seed uint64, rep int) float64 {
	return poisson[byte(drawBits(seed, rep)>>(rep%drawsAtOnce*8))]
}

// drawsAtOnce are made from one number, of which each takes a byte.
const drawsAtOnce = 8

func drawBits(seed uint64, rep int) uint64 {
	return mix(seed + uint64(rep/drawsAtOnce)*0x9e3779b97f4a7c15)
}

// poisson is the distribution of mean 1 in 256 equal parts.
var poisson = func() (table [256]float64) {
	at := 0
	for times, parts := range []int{94, 94, 47, 16, 4, 1} {
		for range parts {
			table[at] = float64(times)
			at++
		}
	}
	return table
}()

// mix spreads every bit of x over the whole (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
