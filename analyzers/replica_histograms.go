package analyzers

import (
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// replicaLatencies is what the replicas of a service answered, by latency.
type replicaLatencies struct {
	instances []string
	bounds    []float64
	counts    [][]float64 // by replica and bucket
}

// compareHistograms compares the replicas of those services that the traces
// tell too little of. A replica's latency holds what it waits for others as
// well, which its fellows wait for alike.
func (p *Pass) compareHistograms(told map[string]bool) {
	for _, service := range p.replicated() {
		if told[service] {
			continue
		}
		all := p.servedBy(service)
		if len(all.instances) < fewestReplicas {
			continue
		}
		for i := range all.instances {
			p.reportServed(service, all, i)
		}
	}
}

// replicated services, by name: those with histograms by instance.
func (p *Pass) replicated() []string {
	var out []string
	for i := range p.Bundle.Histograms {
		if h := &p.Bundle.Histograms[i]; h.Kind == evidence.ServerLatency && h.Entity.Service != "" && h.Entity.Instance != "" {
			out = append(out, h.Entity.Service)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// servedBy each replica of a service that served enough, over all its
// operations; replicas whose buckets are others than the first's are left out.
func (p *Pass) servedBy(service string) replicaLatencies {
	var all replicaLatencies
	from, to := p.Bundle.Window.Start.UnixMilli(), p.Bundle.Window.End.UnixMilli()+1
	for i := range p.Bundle.Histograms {
		h := &p.Bundle.Histograms[i]
		if h.Kind != evidence.ServerLatency || h.Entity.Service != service || h.Entity.Instance == "" {
			continue
		}
		if all.bounds == nil {
			all.bounds = h.Bounds
		}
		counts := h.Counts(from, to)
		if !slices.Equal(all.bounds, h.Bounds) || sum(counts) < fewestServed {
			continue
		}
		if at := slices.Index(all.instances, h.Entity.Instance); at >= 0 {
			all.counts[at] = added(all.counts[at], counts)
			continue
		}
		all.instances, all.counts = append(all.instances, h.Entity.Instance), append(all.counts, counts)
	}
	return all
}

func added(x, y []float64) []float64 {
	out := slices.Clone(x)
	for i := range out {
		out[i] += y[i]
	}
	return out
}

// reportServed holds one replica against its fellows.
func (p *Pass) reportServed(service string, all replicaLatencies, i int) {
	var fellows, everyone []float64 // counts
	var p95s []float64
	for k, counts := range all.counts {
		if everyone == nil {
			everyone, fellows = make([]float64, len(counts)), make([]float64, len(counts))
		}
		everyone = added(everyone, counts)
		if k != i {
			fellows = added(fellows, counts)
			p95s = append(p95s, p95Of(all.bounds, counts))
		}
	}
	own, typical := p95Of(all.bounds, all.counts[i]), quantile(p95s, 0.5)
	ratio := per(own, typical)
	if ratio < 1.5 {
		return
	}
	e := evidence.Entity{Service: service, Instance: all.instances[i]}
	share := per(sum(all.counts[i]), sum(everyone))
	f := Finding{Kind: FindImbalance, Entity: e, Value: ratio, Unit: "1",
		Text:  fmt.Sprintf("requests to replica %s of %s take %.1f times as long as those to its fellows (p95 %.0f ms against %.0f ms)", e.Instance, service, ratio, own*1000, typical*1000),
		Facts: map[string]string{"service": service, "instance": e.Instance, "share": percent(share), "now": decimals(own*1000, 0), "fellows": decimals(typical*1000, 0)}}
	gone := clamp01(1 - per(p95Of(all.bounds, fellows), p95Of(all.bounds, everyone)))
	f.Impact, f.Victims = p.roughImpact(rough{service: service, saved: func(s *Symptom) float64 { return gone * s.P95 }, method: "p95 of the other replicas"})
	p.Report(f)
	p.reportShare(service, e, share, len(all.instances))
}
