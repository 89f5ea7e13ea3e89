package analyzers

import (
	"slices"
	"sort"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// seriesOf gives the series of a kind that match, in canonical order. The
// bundle is sorted by kind and entity.
func (p *Pass) seriesOf(k evidence.Kind, match func(evidence.Entity) bool) []*evidence.Series {
	all := p.Bundle.Series
	var out []*evidence.Series
	for i := sort.Search(len(all), func(i int) bool { return all[i].Kind >= k }); i < len(all) && all[i].Kind == k; i++ {
		if match == nil || match(all[i].Entity) {
			out = append(out, &all[i])
		}
	}
	return out
}

// seriesAt gives the series of a kind about one entity exactly.
func (p *Pass) seriesAt(k evidence.Kind, e evidence.Entity) []*evidence.Series {
	all := p.Bundle.Series
	from := sort.Search(len(all), func(i int) bool {
		return all[i].Kind > k || all[i].Kind == k && all[i].Entity.Compare(e) >= 0
	})
	var out []*evidence.Series
	for i := from; i < len(all) && all[i].Kind == k && all[i].Entity == e; i++ {
		out = append(out, &all[i])
	}
	return out
}

// entitiesOf lists the distinct entities that have a kind, in order.
func (p *Pass) entitiesOf(k evidence.Kind) []evidence.Entity {
	var out []evidence.Entity
	for _, s := range p.seriesOf(k, nil) {
		out = append(out, s.Entity)
	}
	slices.SortFunc(out, evidence.Entity.Compare)
	return slices.Compact(out)
}

// ofService matches every entity of a service.
func ofService(service string) func(evidence.Entity) bool {
	return func(o evidence.Entity) bool { return o.Service == service }
}

// sumSeries adds series up point by point over the union of their times; a
// series counts from its first to its last point only.
func sumSeries(list []*evidence.Series) (times []int64, values []float64) {
	if len(list) == 1 { // the sum of one is itself: shared, not to be written to
		return list[0].Times, list[0].Values
	}
	for _, s := range list {
		times = append(times, s.Times...)
	}
	slices.Sort(times)
	times = slices.Compact(times)
	values = make([]float64, len(times))
	for _, s := range list {
		for i, t := range times {
			if v, ok := s.At(t, maxAge(s)); ok {
				values[i] += v
			}
		}
	}
	return times, values
}

// maxAge is how long a sample stands for, in ms: three steps of its series,
// as a lookback that survives a missed scrape or two.
func maxAge(s *evidence.Series) int64 {
	if len(s.Times) < 2 {
		return 60_000
	}
	return 3 * (s.Times[len(s.Times)-1] - s.Times[0]) / int64(len(s.Times)-1)
}

// meanOf is the mean over time of the sum of series; false where there is no
// sample.
func meanOf(list []*evidence.Series) (float64, bool) {
	_, v := sumSeries(list)
	return mean(v), len(v) > 0
}

// valueAt reads the sum of series at a time.
func valueAt(times []int64, values []float64, t int64) float64 {
	i := sort.Search(len(times), func(i int) bool { return times[i] > t }) - 1
	if i < 0 {
		return 0
	}
	return values[i]
}

// alignTo reads a series at given ascending times, each the last value at or
// before it, 0 before the first. The result may be the series' own values: it
// is not to be written to.
func alignTo(to, times []int64, values []float64) []float64 {
	if slices.Equal(to, times) {
		return values
	}
	out := make([]float64, len(to))
	k := -1
	for i, t := range to {
		for k+1 < len(times) && times[k+1] <= t {
			k++
		}
		if k >= 0 {
			out[i] = values[k]
		}
	}
	return out
}

// loadedMean is the mean of a series over the bins in which its service was
// slow, or, where no bin is, over the whole.
func (p *Pass) loadedMean(service string, times []int64, values []float64) float64 {
	var picked []float64
	slow := p.Facts.slow[service]
	for i, t := range times {
		if slow.at(t) {
			picked = append(picked, values[i])
		}
	}
	if len(picked) < 3 {
		return mean(values)
	}
	return mean(picked)
}

// slowSoon is slowAt for what ended at a time, which latencies show only then,
// and up to the span of their rates later.
func (p *Pass) slowSoon(service string, t int64) bool {
	over := int64(0)
	for i := range p.Bundle.Histograms {
		over = max(over, int64(p.Bundle.Histograms[i].Over*1000))
	}
	for at := t; at <= t+over; at += 1000 {
		if p.slowAt(service, at) {
			return true
		}
	}
	return false
}

// slowAt reports whether any operation of a service, or of any where service
// is "", was slow at a time (Unix ms).
func (p *Pass) slowAt(service string, t int64) bool { return p.Facts.slow[service].at(t) }

// latencyCorrelation is the rank correlation of a series with the p95 of a
// service's own operations (of any, where service is ""), bin by bin; the strongest of its operations.
func (p *Pass) latencyCorrelation(service string, times []int64, values []float64) float64 {
	best := 0.0
	for i := range p.Facts.Symptoms {
		s := &p.Facts.Symptoms[i]
		if service != "" && s.Entity.Service != service {
			continue
		}
		best = max(best, s.movesWith(times, values))
	}
	return best
}

// movesWith is the rank correlation of an operation's p95 with a series, bin by
// bin.
func (s *Symptom) movesWith(times []int64, values []float64) float64 {
	var x, y []float64
	for b, t := range s.Times {
		if s.P95s[b] > 0 {
			x, y = append(x, valueAt(times, values, t+s.Step/2)), append(y, s.P95s[b])
		}
	}
	return spearman(x, y)
}

// union of sorted entities, in order.
func union(lists ...[]evidence.Entity) []evidence.Entity {
	out := slices.Concat(lists...)
	slices.SortFunc(out, evidence.Entity.Compare)
	return slices.Compact(out)
}
