package analyzers

import (
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindCacheMisses is the share of lookups that missed, 0..1.
const FindCacheMisses Kind = "cache.miss.ratio"

// minLookups in the window below which a ratio says nothing.
const minLookups = 100

// cacheRatio measures the miss ratio of every cache that counts its lookups,
// in the application or in the server. A low hit ratio is no cause by itself:
// what a miss costs is measured on the traces (cache-path).
var cacheRatio = Analyzer{
	Name:  "cache-ratio",
	Doc:   "Share of lookups that missed, per cache, from hit and miss counters.",
	Needs: []evidence.Kind{evidence.CacheMisses},
	Uses:  []evidence.Kind{evidence.CacheHits, evidence.CacheEvictions},
	Finds: []Kind{FindCacheMisses},
	Run:   runCacheRatio,
}

func runCacheRatio(p *Pass) error {
	for _, e := range p.entitiesOf(evidence.CacheMisses) {
		missed := p.seriesAt(evidence.CacheMisses, e)
		hit := p.seriesAt(evidence.CacheHits, e)
		times, misses := sumSeries(missed)
		ht, hits := sumSeries(hit)
		lookups := (mean(misses) + mean(hits)) * p.Bundle.Window.Duration().Seconds()
		if lookups < minLookups {
			continue
		}
		line := Line{Name: "miss ratio", Times: times, Values: slices.Clone(misses)}
		for i, t := range times {
			line.Values[i] = per(misses[i], misses[i]+valueAt(ht, hits, t))
		}
		value := per(mean(misses), mean(misses)+mean(hits))
		p.Report(Finding{Kind: FindCacheMisses, Entity: e, Value: value, Unit: "1",
			Text:   fmt.Sprintf("%.0f %% of %.0f lookups in %s missed", value*100, lookups, e),
			Refs:   []evidence.Ref{{Source: "prometheus", Query: missed[0].Query}},
			Charts: []Chart{{Title: "Cache miss ratio", Unit: "1", Lines: []Line{line}}}})
	}
	return nil
}
