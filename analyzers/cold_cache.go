package analyzers

import (
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindColdCache  Kind = "cache.cold"       // how strongly a cache was colder than it got while requests were slow, 0..1
	FindColdMisses Kind = "cache.cold.ratio" // miss ratio beyond that of the warm cache, 0..1
)

// warmed: a cache is warm where its best tenth of the time misses at most
// half as often as its worst; one that never hits is not cold but useless.
const warmed = 0.5

// coldCache measures caches that fill inside the window: after a start, a
// flush or the loss of a node most lookups miss for a while.
var coldCache = Analyzer{
	Name:  "cold-cache",
	Doc:   "Miss ratio over time against that of the same cache once it is warm; the gain by bringing the spans of its service to what they take while it is warm.",
	Needs: []evidence.Kind{evidence.CacheMisses, evidence.CacheHits},
	Uses:  []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindColdCache, overlap(FindColdCache), FindColdMisses},
	Run:   runColdCache,
}

func runColdCache(p *Pass) error {
	for _, e := range p.entitiesOf(evidence.CacheMisses) {
		cold, worst, best := p.coldMisses(e)
		if cold == nil || worst < minColdRatio || best > warmed*worst {
			continue
		}
		p.reportStall(stall{finds: FindColdCache, entity: e, service: e.Service, stalled: p.spansAt(evidence.Entity{Service: e.Service}), witnesses: []*witness{cold},
			text:  fmt.Sprintf("the cache %s was cold while requests were slow", e),
			facts: map[string]string{"cache": e.String(), "cold": percent(worst), "warm": percent(best)}})
	}
	return nil
}

// minColdRatio of misses below which even the coldest time is warm.
const minColdRatio = 0.3

// coldMisses gives the miss ratio beyond the warm one, over time, and the
// ratio's ninth and first decile while there are lookups; nil with too few.
func (p *Pass) coldMisses(e evidence.Entity) (w *witness, worst, best float64) {
	missed, hit := p.seriesAt(evidence.CacheMisses, e), p.seriesAt(evidence.CacheHits, e)
	w = witnessOf(missed, witness{finds: FindColdMisses, unit: "1", none: 0.15, full: 0.5,
		text: func(v float64) string { return percent(v) + " more of the lookups missed than once it was warm" }})
	if w == nil || len(hit) == 0 {
		return nil, 0, 0
	}
	at, hits := sumSeries(hit)
	if (mean(w.values)+mean(hits))*p.Bundle.Window.Duration().Seconds() < minLookups {
		return nil, 0, 0
	}
	ratios := slices.Clone(w.values)
	var seen []float64
	for i, h := range alignTo(w.times, at, hits) {
		ratios[i] = per(w.values[i], w.values[i]+h)
		if w.values[i]+h > 0 {
			seen = append(seen, ratios[i])
		}
	}
	worst, best = quantile(seen, 0.9), quantile(seen, 0.1)
	for i := range ratios {
		ratios[i] = max(0, ratios[i]-best)
	}
	w.values = ratios
	return w, worst, best
}
