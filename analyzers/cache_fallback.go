package analyzers

import (
	"fmt"
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindCacheFallback is the share of lookups that missed in a cache whose
// misses the database answers, 0..1.
const FindCacheFallback Kind = "cache.fallback"

// cacheFallback prices the misses of a cache where no trace shows what follows
// them: a statement that is called just as often is what the cache was to
// spare.
var cacheFallback = Analyzer{
	Name: "cache-fallback",
	Doc: "Without traces: a cache of the application of which one statement in pg_stat_statements is called as often as it misses (within 6 %). " +
		"The gain is that statement's mean time, at the operation that is asked about as often.",
	Needs: []evidence.Kind{evidence.CacheMisses, evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.CacheHits, evidence.ServerLatency},
	Finds: []Kind{FindCacheFallback},
	Run:   runCacheFallback,
}

func runCacheFallback(p *Pass) error {
	if len(p.Facts.Traces) > 0 {
		return nil
	}
	for _, e := range p.entitiesOf(evidence.CacheMisses) {
		misses, _ := meanOf(p.seriesAt(evidence.CacheMisses, e))
		hits, _ := meanOf(p.seriesAt(evidence.CacheHits, e))
		missed := misses * p.Bundle.Window.Duration().Seconds()
		if missed < minLookups || p.requestRate(e.Service) == 0 {
			continue
		}
		if s := p.calledAsOften(missed); s != nil {
			p.reportFallback(e, s, misses/(misses+hits))
		}
	}
	return nil
}

// calledAsOften is the statement that took longest of those called a number of
// times in the window.
func (p *Pass) calledAsOften(times float64) *evidence.Statement {
	var best *evidence.Statement
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for k := range pg.Statements {
			s := &pg.Statements[k]
			reads := s.TopLevel && !pg.Subset && evidence.SQLVerb(s.Text) == "SELECT"
			if reads && math.Abs(times/s.Calls-1) <= callsAgree && (best == nil || s.Exec > best.Exec) {
				best = s
			}
		}
	}
	return best
}

func (p *Pass) reportFallback(e evidence.Entity, s *evidence.Statement, ratio float64) {
	normal, _ := evidence.NormalizeSQL(s.Text)
	f := Finding{Kind: FindCacheFallback, Entity: e, Value: ratio, Unit: "1", Refs: []evidence.Ref{statementRef(s)},
		Text:  fmt.Sprintf("%s of the lookups in %s missed, as often as a statement of %.1f ms was called", percent(ratio), e, s.Mean()*1000),
		Facts: map[string]string{"service": e.Service, "fallback": normal}}
	f.Impact, f.Victims = p.orRough(nil, nil, rough{service: e.Service, calls: s.Calls, saved: evenly(s.Mean()), method: "mean time of the statement that is called as often as the cache misses"})
	if f.Impact != nil {
		f.Facts["operation"] = f.Impact.Operation.Operation
	}
	p.Report(f)
}
