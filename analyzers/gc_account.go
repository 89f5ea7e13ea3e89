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
	if len(p.Facts.Traces) == 0 {
		return p.orRough(nil, nil, rough{service: e.Service, saved: func(s *Symptom) float64 { return share * s.P95 },
			method: "pauses and assists by the runtime's own counters, as a share of the time that requests take"})
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
	if requests == 0 {
		return p.servingRate(e.Service) / max(1, float64(len(p.instancesOf(evidence.GCTime, e.Service))))
	}
	return per(own, requests) * rate / max(1, float64(len(instances)))
}

// servingRate is how many seconds of requests a service serves in a second, by
// its latency histograms: with the time that they wait for others, so that
// a share of it is on the small side.
func (p *Pass) servingRate(service string) float64 {
	var all []float64
	for i := range p.Bundle.Histograms {
		if h := &p.Bundle.Histograms[i]; h.Kind == evidence.ServerLatency && h.Entity.Service == service && h.Entity.Instance == "" && len(h.Sum) > 0 {
			all = append(all, mean(h.Sum))
		}
	}
	return sum(all)
}

// instancesOf a service that have a kind of series.
func (p *Pass) instancesOf(k evidence.Kind, service string) map[string]bool {
	out := map[string]bool{}
	for _, s := range p.seriesOf(k, ofService(service)) {
		out[s.Entity.Instance] = true
	}
	return out
}
