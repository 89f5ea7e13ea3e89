package prometheus

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// rangeQuery reads the buckets of VictoriaMetrics's histograms: each counts
// what fell between the two bounds that its label vmrange names, and only
// buckets that were hit are there.
const rangeQuery = "sum by ($BY, vmrange) (rate($1{$SEL}[$W]))"

var errNoBuckets = errors.New("no histogram could be put together: its buckets have neither le, with one that is +Inf, nor vmrange")

// askBuckets reads the buckets of histograms, with le or with vmrange; a fleet
// in the middle of a change has both.
func (r *run) askBuckets(ctx context.Context, q query, got answer) ([]evidence.Histogram, error) {
	var sums answer
	var err error
	if q.sum != "" {
		if sums, err = r.queryRange(ctx, q.sum, r.grid, maxSeries); err != nil {
			sums = answer{} // the buckets stand without their sum
		}
	}
	out := q.gatherClassic(got, sums)
	if slices.ContainsFunc(got.Series, func(s samples) bool { return s.Labels.get("le") == "" }) {
		q.text = q.fillIn(byLabels(q.by(q.detail)), rangeQuery, q.names, r.grid)
		ranges, err := r.queryRange(ctx, q.text, r.grid, maxSeries)
		if err != nil {
			return out, err
		}
		out = append(out, q.gatherRanges(ranges, sums)...)
	}
	if len(got.Series) > 0 && len(out) == 0 {
		return nil, errNoBuckets
	}
	return out, nil
}

// gatherRanges puts the ranges of each entity together, as those of a native
// histogram: what is not there counted nothing.
func (q query) gatherRanges(a, sums answer) []evidence.Histogram {
	groups := map[string]map[int64]*nativeSample{}
	labelsOf := map[string]labels{}
	var order []string
	for _, s := range a.Series {
		b, ok := parseRange(s.Labels.get("vmrange"))
		if !ok {
			continue
		}
		k := keyWithout(s.Labels, "vmrange")
		if groups[k] == nil {
			groups[k], labelsOf[k] = map[int64]*nativeSample{}, s.Labels
			order = append(order, k)
		}
		for i, v := range s.Values {
			at := groups[k][s.Times[i]]
			if at == nil {
				at = &nativeSample{Time: s.Times[i]}
				groups[k][s.Times[i]] = at
			}
			b.Count = v
			at.Count += v
			at.Buckets = append(at.Buckets, b)
		}
	}
	totals := map[string]samples{}
	for _, s := range sums.Series {
		totals[keyWithout(s.Labels, "vmrange")] = s
	}
	var out []evidence.Histogram
	for _, k := range order {
		h := evidence.Histogram{Kind: q.read.Kind, Entity: q.entity(labelsOf[k]), Unit: q.read.spec.Unit,
			Labels: labelMap(labelsOf[k]), Query: q.text, Over: q.window.Seconds()}
		total, summed := totals[k]
		if fillNative(&h, inOrder(groups[k], total), q.read.Scale) {
			if !summed {
				h.Sum = nil
			}
			out = append(out, h)
		}
	}
	return out
}

// inOrder gives the samples by time, with the sums of those that have one.
func inOrder(at map[int64]*nativeSample, sum samples) []nativeSample {
	out := make([]nativeSample, 0, len(at))
	for _, s := range at {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y nativeSample) int { return int(x.Time - y.Time) })
	next := 0
	for i := range out {
		if v := valueAt(sum, &next, out[i].Time); !math.IsNaN(v) {
			out[i].Sum = v
		}
	}
	return out
}

// parseRange reads "1.000e-01...1.136e-01", "0...1.000e-09" or "1.000e+18...+Inf".
func parseRange(text string) (nativeBucket, bool) {
	from, to, ok := strings.Cut(text, "...")
	lower, err1 := strconv.ParseFloat(from, 64)
	upper, err2 := strconv.ParseFloat(to, 64)
	return nativeBucket{Lower: lower, Upper: upper}, ok && err1 == nil && err2 == nil && lower < upper
}
