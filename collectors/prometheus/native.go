package prometheus

import (
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// maxNativeBounds keeps a distribution small: an exponential histogram may
// have 160 buckets, and a report needs no more than a few per cent of
// resolution. Neighbours are joined beyond it.
const maxNativeBounds = 80

// gatherNative turns native histograms, exponential or with custom bounds,
// into distributions over the union of the bounds they had in the window.
func (q query) gatherNative(a answer) []evidence.Histogram {
	var out []evidence.Histogram
	for _, s := range a.Series {
		if len(s.Histograms) == 0 {
			continue
		}
		h := evidence.Histogram{Kind: q.read.Kind, Entity: q.entity(s.Labels), Unit: q.read.spec.Unit,
			Labels: labelMap(s.Labels), Query: q.text, Over: q.window.Seconds()}
		if fillNative(&h, s.Histograms, q.read.Scale) {
			out = append(out, h)
		}
	}
	return out
}

func fillNative(h *evidence.Histogram, in []nativeSample, scale float64) bool {
	bounds := nativeBounds(in)
	if len(bounds) == 0 {
		return false
	}
	for _, s := range in {
		if math.IsNaN(s.Count) || math.IsNaN(s.Sum) || math.IsInf(s.Sum, 0) {
			continue
		}
		row := make([]float64, len(bounds)+1)
		for _, b := range s.Buckets {
			spread(row, bounds, b)
		}
		h.Times = append(h.Times, s.Time)
		h.Rates = append(h.Rates, row)
		h.Sum = append(h.Sum, s.Sum*scale)
	}
	for _, b := range bounds {
		h.Bounds = append(h.Bounds, b*scale)
	}
	return len(h.Times) > 0
}

// nativeBounds is the union of all finite bounds above zero, thinned evenly
// when there are too many: a joined bucket holds what its parts held.
func nativeBounds(in []nativeSample) []float64 {
	var all []float64
	for _, s := range in {
		for _, b := range s.Buckets {
			for _, x := range []float64{b.Lower, b.Upper} {
				if x > 0 && !math.IsInf(x, 0) {
					all = append(all, x)
				}
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	every := (len(all) + maxNativeBounds - 1) / maxNativeBounds
	if every <= 1 {
		return all
	}
	var kept []float64
	for i := len(all) - 1; i >= 0; i -= every { // the highest bound stays
		kept = append(kept, all[i])
	}
	slices.Reverse(kept)
	return kept
}

// spread puts a bucket's observations into the finer or coarser buckets of
// bounds that it covers, in proportion to their width.
func spread(row, bounds []float64, b nativeBucket) {
	if math.IsInf(b.Upper, 1) || b.Upper > bounds[len(bounds)-1] {
		row[len(bounds)] += b.Count
		return
	}
	lower := max(b.Lower, 0)
	last, _ := slices.BinarySearch(bounds, b.Upper)
	if width := b.Upper - lower; width > 0 {
		for i := last; i >= 0; i-- {
			from := lower
			if i > 0 {
				from = max(lower, bounds[i-1])
			}
			if to := min(b.Upper, bounds[i]); to > from {
				row[i] += b.Count * (to - from) / width
			}
			if i > 0 && bounds[i-1] <= lower {
				return
			}
		}
		return
	}
	row[last] += b.Count
}
