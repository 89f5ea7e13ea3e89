package analyzers

import "github.com/culprit-rca/culprit/collectors/evidence"

// owner of a pool: the service, or the pooler itself where it stands between
// all services and the server.
func (pl *pool) owner() string {
	if pl.entity.Service == "" {
		return pl.entity.Resource
	}
	return pl.entity.Service
}

// poolerImpact takes the wait in a pooler out of the traces. Its clients do
// not see it: the wait lies within the span of the statement that had to
// queue, as what it takes beyond its need. All of that together is no more
// than the pooler says that its clients waited.
func (p *Pass) poolerImpact(pl *pool) (*Impact, []evidence.Entity) {
	need := p.statementNeeds(int64(1e9 * quantile(pl.waits, 0.1)))
	beyond := func(s *evidence.Span) int64 {
		n, known := need[s.Attr(evidence.AttrDBKey)]
		if at := s.End / 1e6; !known || valueAt(pl.times, pl.waits, at) == 0 && valueAt(pl.times, pl.waits, at+1000) == 0 {
			return 0 // nobody queued then; the totals of a second are those at its end
		}
		return max(s.Duration()-n, 0)
	}
	touched := p.Facts.tracesWith(func(s *evidence.Span) bool { return beyond(s) > 0 })
	share := p.poolerShare(pl, touched, beyond)
	return p.predictWorst(touched, func(t *Trace) Cuts {
		c := t.NewCuts()
		for i := range t.Spans {
			if ns := beyond(&t.Spans[i]); ns > 0 {
				t.CutSelf(c, int32(i), int64(share*float64(ns)))
			}
		}
		return c
	})
}

// statementNeeds is what each statement takes when nothing holds it up, in ns,
// by key: its fastest tenth, less what was waited at the best of times.
func (p *Pass) statementNeeds(always int64) map[string]int64 {
	took := map[string][]float64{}
	for _, t := range p.Facts.Traces {
		for i := range t.Spans {
			s := &t.Spans[i]
			if key := s.Attr(evidence.AttrDBKey); key != "" && !isCacheSystem(s.Attr(evidence.AttrDBSystem)) {
				took[key] = append(took[key], float64(s.Duration()))
			}
		}
	}
	need := map[string]int64{}
	for key, ns := range took {
		if len(ns) >= 10 {
			need[key] = int64(quantile(ns, 0.1))
			if need[key] > always {
				need[key] -= always
			}
		}
	}
	return need
}

// poolerShare of what statements take beyond their need that the pooler's own
// account of waiting covers, 0..1. Sampled traces are counted for all requests
// to their operations.
func (p *Pass) poolerShare(pl *pool, touched []*Trace, beyond func(*evidence.Span) int64) float64 {
	waited, _ := meanOf(p.seriesAt(evidence.PoolWaitTime, pl.entity))
	waited *= p.Bundle.Window.Duration().Seconds()
	served, seen := map[evidence.Entity]float64{}, map[evidence.Entity]float64{}
	for _, t := range p.Facts.Traces {
		served[t.asks] += t.Weight
	}
	for _, t := range touched {
		for i := range t.Spans {
			seen[t.asks] += t.Weight * seconds(beyond(&t.Spans[i]))
		}
	}
	total := 0.0
	for _, e := range rootOperations(touched) {
		all := served[e]
		if s := p.Facts.Symptom(e.Service, e.Operation); s != nil {
			all = max(all, s.Requests)
		}
		total += seen[e] * per(all, served[e])
	}
	return clamp01(per(waited, total))
}
