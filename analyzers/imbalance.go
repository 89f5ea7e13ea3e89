package analyzers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindImbalance Kind = "replica.slow"       // how many times longer a replica's own work takes than its fellows', p95
	FindSkew      Kind = "replica.share"      // its requests / those of a fair share
	FindReplicaOf Kind = "replica.slow.share" // share of the service's requests that it serves, 0..1
	FindCPUSkew   Kind = "replica.cpu"        // its CPU / the median of its fellows'
)

const (
	fewestReplicas = 3  // with two it cannot be told which is odd
	fewestServed   = 20 // requests of a replica below which its p95 says nothing
)

// loadImbalance compares replicas of a service with each other: the same
// operation in the same window, so that load and data are alike.
var loadImbalance = Analyzer{
	Name:     "load-imbalance",
	Doc:      "Own time of each replica's server spans against the median of its fellows', and its share of the requests; the gain by giving its spans the pace of its fellows. Where too few traces tell, latency histograms by replica do.",
	NeedsAny: []evidence.Kind{evidence.Spans, evidence.ServerLatency},
	Uses:     []evidence.Kind{evidence.CPUUsage},
	Finds:    []Kind{FindImbalance, FindSkew, FindReplicaOf, FindCPUSkew},
	Run:      runImbalance,
}

// replica is what one instance of a service did.
type replica struct {
	instance string
	own      []float64 // ns of own time a request
	p95      float64
}

func runImbalance(p *Pass) error {
	byService := map[string]map[string]*replica{}
	p.eachServed(func(_ *Trace, _ int32, s *evidence.Span) {
		if byService[s.Service] == nil {
			byService[s.Service] = map[string]*replica{}
		}
		if byService[s.Service][s.Instance] == nil {
			byService[s.Service][s.Instance] = &replica{instance: s.Instance}
		}
	})
	maps.DeleteFunc(byService, func(_ string, all map[string]*replica) bool { return len(all) < fewestReplicas })
	if len(byService) > 0 {
		p.eachServed(func(t *Trace, i int32, s *evidence.Span) {
			if r := byService[s.Service][s.Instance]; r != nil {
				r.own = append(r.own, float64(t.SelfTime(i)))
			}
		})
	}
	services := make([]string, 0, len(byService))
	for s := range byService {
		services = append(services, s)
	}
	slices.Sort(services)
	told := map[string]bool{}
	for _, s := range services {
		told[s] = p.compareReplicas(s, byService[s])
	}
	p.compareHistograms(told)
	return nil
}

// eachServed visits the spans of requests that a known instance served.
func (p *Pass) eachServed(visit func(t *Trace, i int32, s *evidence.Span)) {
	for _, t := range p.Facts.Traces {
		for i := range t.Spans {
			s := &t.Spans[i]
			if (s.Kind == evidence.KindServer || s.Kind == evidence.KindConsumer) && s.Instance != "" {
				visit(t, int32(i), s)
			}
		}
	}
}

// compareReplicas by their spans; false where too few are known well enough.
func (p *Pass) compareReplicas(service string, all map[string]*replica) bool {
	var list []*replica
	total := 0
	for _, r := range all {
		total += len(r.own)
		if len(r.own) >= fewestServed {
			r.p95 = quantile(r.own, 0.95)
			list = append(list, r)
		}
	}
	if len(list) < fewestReplicas {
		return false
	}
	slices.SortFunc(list, func(x, y *replica) int { return cmp.Compare(x.instance, y.instance) })
	for i, r := range list {
		fellows := slices.Concat(list[:i], list[i+1:])
		p.reportReplica(service, r, fellows, total)
	}
	return true
}

func (p *Pass) reportReplica(service string, r *replica, fellows []*replica, total int) {
	var p95s []float64
	for _, f := range fellows {
		p95s = append(p95s, f.p95)
	}
	typical := quantile(p95s, 0.5)
	ratio := per(r.p95, typical)
	if ratio < 1.5 {
		return
	}
	e := evidence.Entity{Service: service, Instance: r.instance}
	share := float64(len(r.own)) / float64(total)
	f := Finding{Kind: FindImbalance, Entity: e, Value: ratio, Unit: "1",
		Text:  fmt.Sprintf("replica %s of %s takes %.1f times as long for its own work as its fellows (p95 %.0f ms against %.0f ms)", r.instance, service, ratio, r.p95/1e6, typical/1e6),
		Facts: map[string]string{"service": service, "instance": r.instance, "share": percent(share), "now": decimals(r.p95/1e6, 0), "fellows": decimals(typical/1e6, 0)}}
	pace := 1 / ratio
	f.Impact, f.Victims = p.predictWorst(p.Facts.tracesWith(func(s *evidence.Span) bool { return s.Service == service && s.Instance == r.instance }), func(t *Trace) Cuts {
		c := t.NewCuts()
		for i, hit := range spansOnInstance(service, r.instance)(t) {
			if hit && t.Spans[i].Service == service {
				t.CutSelf(c, int32(i), int64(float64(t.SelfTime(int32(i)))*(1-pace)))
			}
		}
		return c
	})
	p.Report(f)
	p.reportShare(service, e, share, len(fellows)+1)
}

// reportShare of a replica in the requests of its service, and in its CPU.
func (p *Pass) reportShare(service string, e evidence.Entity, share float64, replicas int) {
	fair := share * float64(replicas)
	p.Report(Finding{Kind: FindReplicaOf, Entity: e, Value: share, Unit: "1", Text: fmt.Sprintf("it serves %s of the service's requests", percent(share))})
	p.Report(Finding{Kind: FindSkew, Entity: e, Value: fair, Unit: "1", Text: fmt.Sprintf("it gets %.1f times a fair share of the requests", fair)})
	p.reportCPUSkew(service, e)
}

// reportCPUSkew compares the CPU of replicas, where the metrics name them as
// the traces do.
func (p *Pass) reportCPUSkew(service string, e evidence.Entity) {
	var fellows []float64
	own, ok := 0.0, false
	for _, o := range p.entitiesOf(evidence.CPUUsage) {
		if o.Service != service {
			continue
		}
		v, _ := meanOf(p.seriesAt(evidence.CPUUsage, o))
		if o.Instance == e.Instance {
			own, ok = v, true
		} else {
			fellows = append(fellows, v)
		}
	}
	if !ok || len(fellows) < fewestReplicas-1 {
		return
	}
	ratio := per(own, quantile(fellows, 0.5))
	p.Report(Finding{Kind: FindCPUSkew, Entity: e, Value: ratio, Unit: "1", Text: fmt.Sprintf("it uses %.1f times the CPU of its fellows", ratio)})
}
