package analyzers

import (
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// mostCollected is the largest share of a request that is laid to the
// collector: the rest is the work that the garbage came from.
const mostCollected = 0.9

// collectorImpact is what a collector that never rests takes of its service's
// requests, where no request without it is there to compare with. A request
// stands still in its share of the pauses, and gives what it is made to assist
// with: both are counted by the runtime, and both lie within its own time. What
// the collector does beside the requests is left out, and the mean stands for
// the tail, which meets more of both: the account is on the small side.
func (p *Pass) collectorImpact(e evidence.Entity) (*Impact, []evidence.Entity) {
	share := p.collectedShare(e)
	if share <= 0 || p.spansAt(e) == nil {
		return nil, nil
	}
	mine := p.spansAt(e)
	cut := func(t *Trace) Cuts {
		c := t.NewCuts()
		for i, hit := range mine(t) {
			if hit && t.Spans[i].Service == e.Service {
				t.CutSelf(c, int32(i), int64(share*float64(t.SelfTime(int32(i)))))
			}
		}
		return c
	}
	return p.predictWorst(p.Facts.tracesWith(func(s *evidence.Span) bool { return s.Service == e.Service }), cut)
}

// collectedShare of the own time of a service's requests goes to the collector.
func (p *Pass) collectedShare(e evidence.Entity) float64 {
	pauses, _ := meanOf(p.seriesAt(evidence.GCTime, e)) // s a s: as many of any request
	assists, _ := meanOf(p.seriesAt(evidence.GCAssist, e))
	return min(mostCollected, pauses+per(assists, p.ownTimeRate(e)))
}

// ownTimeRate is how many seconds of own time an instance's requests have in a
// second: what one has in the traces, times how many there are.
func (p *Pass) ownTimeRate(e evidence.Entity) float64 {
	var own, requests float64
	instances := map[string]bool{}
	for _, t := range p.Facts.Traces {
		for i := range t.Spans {
			if s := &t.Spans[i]; s.Service == e.Service {
				own += t.Weight * float64(t.SelfTime(int32(i))) / 1e9
				if s.Kind == evidence.KindServer {
					requests += t.Weight
					instances[s.Instance] = true
				}
			}
		}
	}
	rate, _ := meanOf(p.seriesOf(evidence.ServerRequests, ofService(e.Service)))
	return per(own, requests) * rate / max(1, float64(len(instances)))
}
