package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindDNS        Kind = "dns.slow"          // s, p95 of resolving a name
	FindDNSFailed  Kind = "dns.failed.share"  // names that could not be resolved / names asked for, 0..1
	FindDNSUnknown Kind = "dns.unknown.share" // names that do not exist / names asked for, 0..1
)

// dnsLatency measures resolvers. 0.1 s at p95 is the alert of the public
// observers; a search list asks for names that do not exist before the one
// that does.
var dnsLatency = Analyzer{
	Name:  "dns-latency",
	Doc:   "Time to resolve a name, and names that fail or do not exist; the gain from the gaps before the calls of new connections is at most what a lookup takes.",
	Needs: []evidence.Kind{evidence.DNSLatency},
	Uses:  []evidence.Kind{evidence.DNSRequests, evidence.DNSFailures, evidence.DNSUnknown, evidence.Spans},
	Finds: []Kind{FindDNS, FindDNSFailed, FindDNSUnknown},
	Run:   runDNS,
}

func runDNS(p *Pass) error {
	from, to := p.Bundle.Window.Start.UnixMilli(), p.Bundle.Window.End.UnixMilli()+1
	for i := range p.Bundle.Histograms {
		h := &p.Bundle.Histograms[i]
		counts := h.Counts(from, to)
		if h.Kind != evidence.DNSLatency || sum(counts) < minRequests {
			continue
		}
		p95, lo, _ := evidence.QuantileOf(h.Bounds, counts, 0.95)
		if lo < 0.005 {
			continue // within the first buckets: as fast as it gets
		}
		f := Finding{Kind: FindDNS, Entity: h.Entity, Value: p95, Unit: "s", Refs: []evidence.Ref{{Source: "prometheus", Query: h.Query}},
			Text:  fmt.Sprintf("resolving a name takes %.0f ms at p95", p95*1000),
			Facts: map[string]string{"resolver": consumerName(h.Entity), "p95": decimals(p95*1000, 0)}}
		f.Impact, f.Victims = p.predictWorst(p.Facts.tracesWhere(hasLookup), lookupCuts)
		f.Impact, f.Victims = p.orRough(f.Impact, f.Victims, rough{saved: evenly(p95), method: "p95 of a lookup"})
		f.Impact.limit()
		p.Report(f)
		p.reportDNSShares(h.Entity)
	}
	return nil
}

func (p *Pass) reportDNSShares(e evidence.Entity) {
	asked, ok := meanOf(p.seriesAt(evidence.DNSRequests, e))
	if !ok || asked <= 0 {
		return
	}
	for _, part := range []struct {
		kind  evidence.Kind
		finds Kind
		text  string
	}{{evidence.DNSFailures, FindDNSFailed, "failed"}, {evidence.DNSUnknown, FindDNSUnknown, "do not exist"}} {
		if v, ok := meanOf(p.seriesAt(part.kind, e)); ok {
			share := clamp01(v / asked)
			p.Report(Finding{Kind: part.finds, Entity: e, Value: share, Unit: "1", Text: percent(share) + " of the names asked for " + part.text})
		}
	}
}

// isLookup recognises the span that HTTP clients record while they resolve a
// name: "dns", "dns.lookup", "http.dns", "DNS lookup".
func isLookup(s *evidence.Span) bool {
	return containsWord(s.Name, "dns")
}

func hasLookup(t *Trace) bool {
	for i := range t.Spans {
		if isLookup(&t.Spans[i]) {
			return true
		}
	}
	return false
}

func lookupCuts(t *Trace) Cuts {
	c := t.NewCuts()
	for i := range t.Spans {
		if isLookup(&t.Spans[i]) {
			t.CutSubtree(c, int32(i))
		}
	}
	return c
}
