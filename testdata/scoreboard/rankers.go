package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// chance is how likely a ranker puts the planted cause first, or among the
// first three: 0 or 1 for one that does not draw lots.
type chance struct {
	ranker     string
	first, top float64
}

// drawn ranks every hypothesis that was weighed, by lot.
func drawn(j *rules.Judgement, want cause) chance {
	var all, right float64
	weigh := func(rule string, subject evidence.Entity) {
		all++
		if rule == want.Rule && want.at(subject) {
			right++
		}
	}
	for _, h := range slices.Concat(j.Causes, j.Leads) {
		weigh(h.Rule.ID, h.Subject)
	}
	for _, r := range j.Rejected {
		weigh(r.Rule, r.Subject)
	}
	missed := 1.0 // that none of three draws is right
	for k := 0.0; k < min(3, all); k++ {
		missed *= max(0, (all-right-k)/(all-k))
	}
	return chance{"by lot", right / max(1, all), 1 - missed}
}

// byEffect ranks places by the robust effect size of their series, without
// graph or mechanism, as BARO's scorer does (Pham, Ha, Zhang; FSE 2024): the
// largest deviation of the loaded part from the median of the part before, in
// interquartile ranges. It is right when the place is, whatever the mechanism.
func byEffect(b *evidence.Bundle, want cause) chance {
	effects := map[evidence.Entity]float64{}
	for i := range b.Series {
		s := &b.Series[i]
		effects[s.Entity] = max(effects[s.Entity], effectSize(s.Values))
	}
	places := make([]evidence.Entity, 0, len(effects))
	for e := range effects {
		places = append(places, e)
	}
	slices.SortFunc(places, func(x, y evidence.Entity) int {
		return cmp.Or(cmp.Compare(effects[y], effects[x]), x.Compare(y))
	})
	at := slices.IndexFunc(places, want.at)
	return chance{"robust effect size, place only", is(at == 0), is(at >= 0 && at < 3)}
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// baselinePart is the share of a run that counts as before the load: a lab run
// ramps for a quarter of its time.
const baselinePart = 0.25

// effectSize of the later part of a series over its beginning.
func effectSize(values []float64) float64 {
	n := int(baselinePart * float64(len(values)))
	if n < 2 {
		return 0
	}
	before := slices.Sorted(slices.Values(values[:n]))
	median, spread := before[n/2], before[3*n/4]-before[n/4]
	var largest float64
	for _, v := range values[n:] {
		largest = max(largest, math.Abs(v-median))
	}
	if spread == 0 {
		spread = max(1e-9, 0.01*math.Abs(median))
	}
	return largest / spread
}
