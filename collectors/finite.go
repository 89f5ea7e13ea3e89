package collectors

import (
	"fmt"
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// dropNonFinite takes out the points that are NaN or infinite: the contract of
// evidence says that a missing sample is a missing time, JSON cannot carry
// them, and one slip of a collector must not spoil a whole bundle. What was
// dropped is noted with the source.
func dropNonFinite(b *evidence.Bundle) {
	dropped := 0
	for i := range b.Series {
		dropped += cleanSeries(&b.Series[i])
	}
	for i := range b.Histograms {
		dropped += cleanHistogram(&b.Histograms[i])
	}
	if dropped > 0 && len(b.Sources) > 0 {
		b.Sources[0].Notes = append(b.Sources[0].Notes, fmt.Sprintf("%d points that are no number were dropped", dropped))
	}
}

func cleanSeries(s *evidence.Series) (dropped int) {
	if finite(s.Values...) {
		return 0
	}
	kept := 0
	for i, v := range s.Values {
		if finite(v) {
			s.Times[kept], s.Values[kept] = s.Times[i], v
			kept++
		}
	}
	dropped = len(s.Values) - kept
	s.Times, s.Values = s.Times[:kept], s.Values[:kept]
	return dropped
}

func cleanHistogram(h *evidence.Histogram) (dropped int) {
	kept := 0
	for i, rates := range h.Rates {
		if !finite(rates...) || (len(h.Sum) > 0 && !finite(h.Sum[i])) {
			continue
		}
		h.Times[kept], h.Rates[kept] = h.Times[i], rates
		if len(h.Sum) > 0 {
			h.Sum[kept] = h.Sum[i]
		}
		kept++
	}
	dropped = len(h.Rates) - kept
	h.Times, h.Rates, h.Sum = h.Times[:kept], h.Rates[:kept], h.Sum[:min(kept, len(h.Sum))]
	return dropped
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
