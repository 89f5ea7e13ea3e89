package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindRateLimit  Kind = "rate.limited"       // how strongly a limiter refused requests while they were slow, 0..1
	FindRefused    Kind = "rate.refused.share" // requests refused / requests, 0..1
	FindRateStatus Kind = "rate.refused.calls" // share of the traces with a call answered 429, 0..1
)

// rateLimiting measures refusals for too many requests: 0.01 to 0.1 of the
// requests. They are fast; what is slow is the caller that waits and asks again.
var rateLimiting = Analyzer{
	Name:     "rate-limiting",
	Doc:      "Requests that a limiter refused, against all; the gain by bringing the service and its callers to what they take while nothing is refused. Where no metric tells, calls that were answered 429; the gain by taking them out of the traces, with the pause until the same was asked again.",
	NeedsAny: []evidence.Kind{evidence.RateLimited, evidence.Spans},
	Uses:     []evidence.Kind{evidence.ServerRequests, evidence.Attempts},
	Finds:    []Kind{FindRateLimit, overlap(FindRateLimit), FindRefused, FindRateStatus},
	Run:      runRateLimits,
}

func runRateLimits(p *Pass) error {
	limiters := p.entitiesOf(evidence.RateLimited)
	if len(limiters) == 0 {
		p.reportTracedRefusals()
	}
	for _, e := range limiters {
		all := p.seriesOf(evidence.ServerRequests, ofService(e.Service))
		if e.Service == "" || len(all) == 0 {
			all = p.seriesAt(evidence.Attempts, e)
		}
		refused := witnessOf(p.seriesAt(evidence.RateLimited, e), witness{finds: FindRefused, unit: "1", none: noRefusals, full: allRefusals,
			text: func(v float64) string { return decimals(v*100, 1) + " % of the requests were refused as too many" }}).over(all)
		p.reportStall(stall{finds: FindRateLimit, entity: e, service: "", stalled: callersOf(e.Service), witnesses: []*witness{refused},
			text:  fmt.Sprintf("%s refused requests as too many", e),
			facts: map[string]string{"service": e.Service, "limiter": consumerName(e)}})
	}
	p.reportRefusedCalls()
	return nil
}

// callersOf a service: whoever calls it waits before it asks again.
func callersOf(service string) stalled {
	return func(t *Trace) []bool {
		hit := t.callsInto(service)
		for i := range hit {
			if up := t.Parent[i]; hit[i] && up >= 0 && t.Spans[i].Service != service {
				hit[up] = true
			}
		}
		return hit
	}
}

// reportRefusedCalls counts the traces in which a call was answered 429, by
// the service that answered.
func (p *Pass) reportRefusedCalls() {
	if len(p.Facts.Traces) == 0 {
		return
	}
	for _, e := range p.entitiesOf(evidence.RateLimited) {
		n := 0
		for _, t := range p.Facts.Traces {
			if t.answered(e.Service, "429") {
				n++
			}
		}
		p.reportRefusedShare(e, float64(n)/float64(len(p.Facts.Traces)))
	}
}

func (p *Pass) reportRefusedShare(e evidence.Entity, share float64) {
	p.Report(Finding{Kind: FindRateStatus, Entity: e, Value: share, Unit: "1", Text: fmt.Sprintf("%s of the traces hold a call that was refused", percent(share))})
}

// answered: a server span of a service has an HTTP status.
func (t *Trace) answered(service, status string) bool {
	for i := range t.Spans {
		if s := &t.Spans[i]; s.Service == service && s.Attr(evidence.AttrHTTPStatus) == status {
			return true
		}
	}
	return false
}
