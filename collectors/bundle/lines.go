package bundle

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// The lines of the JSON parts are the nouns themselves; where times stand in
// them they are written as the first and then the differences, which is what
// makes a regular series cost next to nothing.

func same[T any](v *T) (*T, error) { return v, nil }

type seriesLine struct {
	evidence.Series
	Times []int64 `json:"t"` // shadows Series.Times
}

func seriesLineOf(s *evidence.Series) (seriesLine, error) {
	if len(s.Times) != len(s.Values) {
		return seriesLine{}, fmt.Errorf("%s has %d times and %d values", s.Kind, len(s.Times), len(s.Values))
	}
	return seriesLine{*s, deltas(s.Times)}, nil
}

func (l seriesLine) value() (evidence.Series, error) {
	s := l.Series
	s.Times = sums(l.Times)
	if len(s.Times) != len(s.Values) {
		return s, fmt.Errorf("%d times and %d values", len(s.Times), len(s.Values))
	}
	return s, nil
}

type histogramLine struct {
	evidence.Histogram
	Times []int64 `json:"t"` // shadows Histogram.Times
}

func histogramLineOf(h *evidence.Histogram) (histogramLine, error) {
	if err := checkHistogram(h); err != nil {
		return histogramLine{}, fmt.Errorf("%s: %w", h.Kind, err)
	}
	return histogramLine{*h, deltas(h.Times)}, nil
}

func (l histogramLine) value() (evidence.Histogram, error) {
	h := l.Histogram
	h.Times = sums(l.Times)
	return h, checkHistogram(&h)
}

// checkHistogram holds the shape that analyzers index into without looking.
func checkHistogram(h *evidence.Histogram) error {
	if len(h.Rates) != len(h.Times) {
		return fmt.Errorf("%d times and %d rows", len(h.Times), len(h.Rates))
	}
	if len(h.Sum) != 0 && len(h.Sum) != len(h.Times) {
		return fmt.Errorf("%d times and %d sums", len(h.Times), len(h.Sum))
	}
	for _, row := range h.Rates {
		if len(row) != len(h.Bounds)+1 {
			return fmt.Errorf("%d bounds and a row of %d", len(h.Bounds), len(row))
		}
	}
	return nil
}

type weightLine struct {
	Trace string `json:"trace"`
	evidence.TraceWeight
}

func weightLineOf(w *evidence.TraceWeight) (weightLine, error) {
	return weightLine{w.Trace.String(), *w}, nil
}

func (l weightLine) value() (evidence.TraceWeight, error) {
	id, err := evidence.ParseTraceID(l.Trace)
	l.TraceWeight.Trace = id
	return l.TraceWeight, err
}

func deltas(times []int64) []int64 {
	out := make([]int64, len(times))
	last := int64(0)
	for i, t := range times {
		out[i], last = t-last, t
	}
	return out
}

func sums(deltas []int64) []int64 {
	last := int64(0)
	for i, d := range deltas {
		last += d
		deltas[i] = last
	}
	return deltas
}
