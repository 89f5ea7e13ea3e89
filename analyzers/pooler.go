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
// queue. One that took less than half of the mean wait did not.
func (p *Pass) poolerImpact(pl *pool) (*Impact, []evidence.Entity) {
	wait := int64(pl.wait * 1e9)
	queued := func(s *evidence.Span) bool {
		return s.Attr(evidence.AttrDBKey) != "" && !isCacheSystem(s.Attr(evidence.AttrDBSystem)) && wait > 0 && s.Duration() > wait/2
	}
	return p.predictWorst(p.Facts.tracesWith(queued), func(t *Trace) Cuts {
		c := t.NewCuts()
		for i := range t.Spans {
			if queued(&t.Spans[i]) {
				t.CutSelf(c, int32(i), min(wait, t.SelfTime(int32(i))))
			}
		}
		return c
	})
}
