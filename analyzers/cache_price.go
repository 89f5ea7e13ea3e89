package analyzers

import (
	"cmp"
	"slices"
)

// dearest times what one usually costs a miss may cost. It is the 99th
// percentile of waits at random with that median (exponential: ln 100 / ln 2).
// What goes beyond has a reason of its own, be it a lock, a full pool or no
// processor, and it is that which is paid, not the miss.
const dearest = 6.64

// pricePaid is what one miss cost, in ns, and the requests it stands for.
type pricePaid struct{ ns, weight float64 }

// medianPrice of what misses cost, in ns; 0 without any. It sorts them.
func medianPrice(paid []pricePaid) float64 {
	slices.SortFunc(paid, func(a, b pricePaid) int { return cmp.Compare(a.ns, b.ns) })
	half := 0.0
	for _, p := range paid {
		half += p.weight / 2
	}
	for _, p := range paid {
		if half -= p.weight; half <= 0 {
			return p.ns
		}
	}
	return 0
}

// took is how long some calls lasted, in ns.
func (t *Trace) took(calls []call) (ns float64) {
	for _, c := range calls {
		ns += float64(t.Spans[c.span].Duration())
	}
	return ns
}

// fair is the share of what a miss cost that misses usually cost: 1 unless it
// cost far more.
func (t *Trace) fair(l *lookup) float64 {
	if took := t.took(l.fallback); l.price > 0 && took > dearest*l.price {
		return l.price / took
	}
	return 1
}

// cutMisses removes the fall-backs and the writes, with what the caller did
// between read and write: on a hit none of it happens. Of a miss that cost far
// more than usual only what one usually costs goes.
func (t *Trace) cutMisses(c Cuts, misses []lookup) {
	between := map[int32][]stretch{} // by parent
	for _, l := range misses {
		fair := t.fair(&l)
		for _, made := range l.fallback {
			t.cutShare(c, made.span, fair)
		}
		if l.write < 0 {
			continue
		}
		t.cutShare(c, l.write, fair)
		if parent := t.Parent[l.read]; fair == 1 && parent >= 0 && parent == t.Parent[l.write] {
			between[parent] = append(between[parent], stretch{t.Spans[l.read].End, t.Spans[l.write].End})
		}
	}
	for parent, gaps := range between {
		t.CutSelf(c, parent, t.selfWithin(parent, gaps, t.Spans[parent].Duration()))
		t.cutPlumbing(c, parent, gaps)
	}
}

// cutShare of a span with everything below it.
func (t *Trace) cutShare(c Cuts, span int32, share float64) {
	if share == 1 {
		t.CutSubtree(c, span)
		return
	}
	t.Shorten(c, span, 1-share)
}
