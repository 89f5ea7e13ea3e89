package analyzers

import (
	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindRetransmits Kind = "net.retransmits"  // share of TCP segments sent again, 0..1
	FindOverflows   Kind = "net.overflows"    // connections lost to full accept queues a second
	FindConntrack   Kind = "net.conntrack"    // share of the connection table in use, 0..1
	FindDrops       Kind = "net.drops"        // packets dropped a second
	FindPorts       Kind = "net.ports"        // share of the ephemeral ports that wait after use, 0..1
	FindRetryShare  Kind = "retries.share"    // calls that were repeats / calls, 0..1
	FindClientP95   Kind = "client.p95"       // s, p95 of calls as the caller measures them
	FindEdgeGap     Kind = "edge.gap"         // s, median of an edge on the caller's side less the server's
	FindBreaker     Kind = "breaker.open"     // share of the slow time in which a breaker held requests back, 0..1
	FindClientFails Kind = "client.fail.rate" // failed calls a second, as the caller counts them
)

// ephemeralPorts of Linux by default: 32768 to 60999.
const ephemeralPorts = 28232

// netStack reads what the kernel, proxies and client libraries count of calls
// between services: support for what traces show, or all there is without them.
var netStack = Analyzer{
	Name:  "net-stack",
	Doc:   "Retransmits, overflows, drops and tables of the network, retries and breakers of clients, and the time of calls as their caller measures it.",
	Uses:  []evidence.Kind{evidence.NetRetransmits, evidence.NetListenOverflows, evidence.NetConntrack, evidence.NetDrops, evidence.NetTimeWait, evidence.Retries, evidence.Attempts, evidence.BreakerOpen, evidence.ClientLatency, evidence.ClientErrors, evidence.EdgeClientLatency, evidence.EdgeServerLatency},
	Finds: []Kind{FindRetransmits, FindOverflows, FindConntrack, FindDrops, FindPorts, FindRetryShare, FindBreaker, FindClientP95, FindClientFails, FindEdgeGap},
	Run:   runNetStack,
}

func runNetStack(p *Pass) error {
	scale := func(f float64, unit string) func(float64) string {
		return func(v float64) string { return decimals(v*f, 1) + unit }
	}
	for _, m := range []struct {
		kind  evidence.Kind
		finds Kind
		unit  string
		by    float64
		text  func(float64) string
	}{
		{evidence.NetRetransmits, FindRetransmits, "1", 1, scale(100, " % of the TCP segments were sent again")},
		{evidence.NetListenOverflows, FindOverflows, "1/s", 1, scale(1, " connections a second found an accept queue full")},
		{evidence.NetConntrack, FindConntrack, "1", 1, scale(100, " % of the connection table was in use")},
		{evidence.NetDrops, FindDrops, "1/s", 1, scale(1, " packets a second were dropped")},
		{evidence.NetTimeWait, FindPorts, "1", ephemeralPorts, scale(100, " % of the ephemeral ports waited after use")},
		{evidence.BreakerOpen, FindBreaker, "1", 1, scale(100, " % of the time a circuit breaker held calls back")},
		{evidence.ClientErrors, FindClientFails, "1/s", 1, scale(1, " calls a second failed, as their caller counts them")},
	} {
		for _, e := range p.entitiesOf(m.kind) {
			series := p.seriesAt(m.kind, e)
			times, values := sumSeries(series)
			v := p.loadedMean(e.Service, times, values) / m.by
			p.Report(Finding{Kind: m.finds, Entity: e, Value: v, Unit: m.unit, Text: m.text(v), Refs: []evidence.Ref{{Source: "prometheus", Query: series[0].Query}}})
		}
	}
	p.reportRetryShare()
	p.reportClientLatency()
	return nil
}

func (p *Pass) reportRetryShare() {
	for _, e := range p.entitiesOf(evidence.Retries) {
		w := witnessOf(p.seriesAt(evidence.Retries, e), witness{}).over(p.seriesAt(evidence.Attempts, e))
		if w == nil {
			continue
		}
		v := clamp01(p.loadedMean(e.Service, w.times, w.values))
		p.Report(Finding{Kind: FindRetryShare, Entity: e, Value: v, Unit: "1", Refs: []evidence.Ref{w.ref()}, Text: percent(v) + " of the calls were repeats, as the client counts them"})
	}
}

// reportClientLatency reports calls as their caller measures them, and what of
// an edge lies outside of the server.
func (p *Pass) reportClientLatency() {
	from, to := p.Bundle.Window.Start.UnixMilli(), p.Bundle.Window.End.UnixMilli()+1
	served := map[evidence.Entity]float64{}
	for i := range p.Bundle.Histograms {
		if h := &p.Bundle.Histograms[i]; h.Kind == evidence.EdgeServerLatency && sum(h.Counts(from, to)) > 0 {
			served[h.Entity], _, _ = evidence.QuantileOf(h.Bounds, h.Counts(from, to), 0.5)
		}
	}
	for i := range p.Bundle.Histograms {
		h := &p.Bundle.Histograms[i]
		counts := h.Counts(from, to)
		if sum(counts) < minRequests || h.Kind != evidence.ClientLatency && h.Kind != evidence.EdgeClientLatency {
			continue
		}
		refs := []evidence.Ref{{Source: "prometheus", Query: h.Query}}
		p95, _, _ := evidence.QuantileOf(h.Bounds, counts, 0.95)
		p.Report(Finding{Kind: FindClientP95, Entity: h.Entity, Value: p95, Unit: "s", Refs: refs, Text: "its calls to " + h.Entity.Resource + " take " + decimals(p95*1000, 0) + " ms at p95, as it measures them"})
		_, lo, _ := evidence.QuantileOf(h.Bounds, counts, 0.5)
		if s, ok := served[h.Entity]; ok && h.Kind == evidence.EdgeClientLatency {
			gap := max(0, lo-s)
			p.Report(Finding{Kind: FindEdgeGap, Entity: h.Entity, Value: gap, Unit: "s", Refs: refs, Text: "at least " + decimals(gap*1000, 1) + " ms of the median call to " + h.Entity.Resource + " lie outside of the server"})
		}
	}
}
