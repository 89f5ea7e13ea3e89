package analyzers

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
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
	// bootstrapReps is enough for an interval: its ends move by about a
	// twentieth of its width between seeds.
	bootstrapReps = 400
)

// request is one request of an operation, as sampled: its duration as
// recorded and with something removed, in ns.
type request struct {
	trace     int // index among the traces that have any
	weight    float64
	now, then int64
}

// Predict says what a percentile of an operation would be with something
// removed: each trace is cut and re-timed, and the weighted percentile taken
// again. cut may give nil for a trace it leaves alone. The result is nil with
// fewer than five traces of the operation.
//
// The interval is the 95 % percentile interval of the saving over resampled
// traces, the percentile re-taken each time, so that it knows how loosely few
// traces fix a tail. The seed comes from the trace ids: the same traces give
// the same interval.
func Predict(traces []*Trace, target evidence.Entity, q float64, cut func(*Trace) Cuts) *Impact {
	sample := sampleRequests(traces, target, cut)
	if sample.traces < fewestTraces {
		return nil
	}
	now, then := sample.percentiles(q, nil)
	i := &Impact{Operation: target, Percentile: q, Now: seconds(now), Then: seconds(then), Method: sample.method(now)}
	i.Low, i.High = sample.interval(q)
	i.Low, i.High = min(i.Low, i.Saved()), max(i.High, i.Saved())
	i.Distribution = sample.distribution()
	return i
}

// distributionSteps cut a distribution as finely as a chart of it can show.
const distributionSteps = 40

// distribution of the latency now and then at equal steps of share, with the
// tail drawn out.
func (s *requestSample) distribution() []Quantile {
	var out []Quantile
	add := func(share float64) {
		now, then := s.percentiles(share, nil)
		out = append(out, Quantile{Share: share, Now: seconds(now), Then: seconds(then)})
	}
	for k := 1; k < distributionSteps; k++ {
		add(float64(k) / distributionSteps)
	}
	add(0.99)
	return out
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// requestSample is the requests of one operation, with their orders by
// duration: a resample changes weights, not order.
type requestSample struct {
	requests      []request
	traces        int
	seed          uint64
	byNow, byThen []int32
}

func sampleRequests(traces []*Trace, target evidence.Entity, cut func(*Trace) Cuts) *requestSample {
	s := &requestSample{}
	seed := fnv.New64a()
	for _, t := range traces {
		spans := t.requests(target)
		if len(spans) == 0 {
			continue
		}
		seed.Write(t.ID[:])
		var then []int64
		if c := cut(t); c != nil {
			then = t.retimed(c)
		}
		for _, i := range spans {
			r := request{trace: s.traces, weight: t.Weight, now: t.Spans[i].Duration()}
			r.then = r.now
			if then != nil {
				r.then = then[i]
			}
			s.requests = append(s.requests, r)
		}
		s.traces++
	}
	s.seed = seed.Sum64()
	s.byNow = s.order(func(r *request) int64 { return r.now })
	s.byThen = s.order(func(r *request) int64 { return r.then })
	return s
}

func (s *requestSample) order(key func(*request) int64) []int32 {
	order := make([]int32, len(s.requests))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(key(&s.requests[a]), key(&s.requests[b])), cmp.Compare(a, b))
	})
	return order
}

// percentiles are the smallest durations that at least a share q of the
// requests keeps within, now and then. times says how often each trace was
// drawn; nil is once.
func (s *requestSample) percentiles(q float64, times []int32) (now, then int64) {
	total := 0.0
	for i := range s.requests {
		total += s.weight(i, times)
	}
	beyond := (1 - q) * total * (1 + 1e-12)
	now = s.requests[s.reach(s.byNow, beyond, times)].now
	then = s.requests[s.reach(s.byThen, beyond, times)].then
	return now, then
}

func (s *requestSample) weight(i int, times []int32) float64 {
	r := &s.requests[i]
	if times == nil {
		return r.weight
	}
	return r.weight * float64(times[r.trace])
}

// reach finds the request beyond which at most a given weight lies. It comes
// from the top: tails are short.
func (s *requestSample) reach(order []int32, beyond float64, times []int32) int32 {
	sum := 0.0
	for _, i := range slices.Backward(order) {
		if sum += s.weight(int(i), times); sum > beyond {
			return i
		}
	}
	return order[0]
}

// interval of the saving in s.
func (s *requestSample) interval(q float64) (low, high float64) {
	random := rand.New(rand.NewPCG(s.seed, uint64(s.traces)))
	times := make([]int32, s.traces)
	savings := make([]float64, bootstrapReps)
	for rep := range savings {
		clear(times)
		for range s.traces {
			times[random.IntN(s.traces)]++
		}
		now, then := s.percentiles(q, times)
		savings[rep] = seconds(now - then)
	}
	slices.Sort(savings)
	return savings[bootstrapReps*25/1000], savings[bootstrapReps*975/1000]
}

func (s *requestSample) method(now int64) string {
	tail := 0
	for i := range s.requests {
		if s.requests[i].now >= now {
			tail++
		}
	}
	if tail < fewestTail {
		return fmt.Sprintf("what-if on %d traces, indicative: %d in the tail", s.traces, tail)
	}
	return fmt.Sprintf("what-if on %d traces", s.traces)
}
