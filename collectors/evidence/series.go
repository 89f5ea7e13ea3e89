package evidence

import (
	"math"
	"sort"
)

// Series is one measured quantity over time.
type Series struct {
	Kind   Kind              `json:"kind"`
	Entity Entity            `json:"entity"`
	Unit   string            `json:"unit"`             // UCUM: s, By, 1, {core}, {connection}, {request}/s
	Labels map[string]string `json:"labels,omitempty"` // what the source called it, for joins and for people
	Query  string            `json:"query"`            // the exact query that gave it
	Over   float64           `json:"over_s,omitempty"` // a rate's window in s; 0 for a gauge
	Times  []int64           `json:"t"`                // Unix ms, ascending
	Values []float64         `json:"v"`                // finite; a missing sample is a missing time
}

// Histogram is a distribution of a quantity over time: for every time the rate
// of observations that fell into each bucket (not cumulative).
type Histogram struct {
	Kind   Kind              `json:"kind"`
	Entity Entity            `json:"entity"`
	Unit   string            `json:"unit"`
	Labels map[string]string `json:"labels,omitempty"`
	Query  string            `json:"query"`
	Over   float64           `json:"over_s"`        // the rate's window in s
	Bounds []float64         `json:"le"`            // finite upper bounds, ascending; one bucket more lies above the last
	Times  []int64           `json:"t"`             // Unix ms, ascending
	Rates  [][]float64       `json:"r"`             // [time][len(Bounds)+1], observations per s
	Sum    []float64         `json:"sum,omitempty"` // [time], units per s; its mean is Sum / sum of Rates
}

// Quantile of the observations between two times (Unix ms, half-open), with
// the bounds of the bucket it fell into: linear inside the bucket, as
// Prometheus's histogram_quantile. hi is +Inf when the quantile lies above the
// last bound: then value is that bound and means "at least". NaN when nothing
// was observed.
func (h *Histogram) Quantile(q float64, from, to int64) (value, lo, hi float64) {
	return QuantileOf(h.Bounds, h.Counts(from, to), q)
}

// Counts adds up the observations of each bucket between two times (Unix ms).
// Rates are means over Over, so neighbouring points may share observations:
// the counts are exact in proportion and in step x rate, not per request.
func (h *Histogram) Counts(from, to int64) []float64 {
	counts := make([]float64, len(h.Bounds)+1)
	for i, t := range h.Times {
		if t < from || t >= to {
			continue
		}
		dt := h.step(i)
		for b, r := range h.Rates[i] {
			counts[b] += r * dt
		}
	}
	return counts
}

// step is the time in s that point i stands for.
func (h *Histogram) step(i int) float64 {
	switch {
	case len(h.Times) < 2:
		return math.Max(h.Over, 1)
	case i == 0:
		return float64(h.Times[1]-h.Times[0]) / 1000
	default:
		return float64(h.Times[i]-h.Times[i-1]) / 1000
	}
}

// QuantileOf is Quantile for counts per bucket.
func QuantileOf(bounds, counts []float64, q float64) (value, lo, hi float64) {
	total := 0.0
	for _, c := range counts {
		total += c
	}
	if total <= 0 || len(bounds) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	rank, seen := q*total, 0.0
	for b, c := range counts {
		if seen+c < rank || c == 0 {
			seen += c
			continue
		}
		if b > 0 {
			lo = bounds[b-1]
		}
		if b == len(bounds) {
			return lo, lo, math.Inf(1)
		}
		return lo + (bounds[b]-lo)*(rank-seen)/c, lo, bounds[b]
	}
	last := bounds[len(bounds)-1]
	return last, last, math.Inf(1)
}

// Slice gives the values of a series between two times (Unix ms, half-open).
func (s *Series) Slice(from, to int64) []float64 {
	i := sort.Search(len(s.Times), func(i int) bool { return s.Times[i] >= from })
	j := sort.Search(len(s.Times), func(i int) bool { return s.Times[i] >= to })
	return s.Values[i:j]
}

// At gives the last value at or before t, no older than maxAge ms.
func (s *Series) At(t, maxAge int64) (float64, bool) {
	i := sort.Search(len(s.Times), func(i int) bool { return s.Times[i] > t }) - 1
	if i < 0 || t-s.Times[i] > maxAge {
		return 0, false
	}
	return s.Values[i], true
}
