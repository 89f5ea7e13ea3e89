package analyzers

import (
	"fmt"
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindScaling     Kind = "replicas.short"   // share of the slow time in which replicas were wanted and not there, 0..1
	FindReplicasGap Kind = "replicas.missing" // replicas wanted and not there / wanted, 0..1
	FindReplicasMax Kind = "replicas.ceiling" // replicas wanted / most that may be started, 0..1
	FindPending     Kind = "pods.pending"     // pods that wait for a node
	FindDisruption  Kind = "pods.disrupted"   // how strongly restarts fell into the slow time, 0..1
	FindRestarts    Kind = "restarts.recent"  // whether a replica was restarted within the minute before, 0..1
)

// autoscalingLag measures replicas that the autoscaler wants and that are not
// there: still starting, waiting for a node, or beyond its ceiling. At the
// ceiling alone nothing is missing: it only counts while requests are slow.
var autoscalingLag = Analyzer{
	Name:  "autoscaling-lag",
	Doc:   "Replicas wanted and not there, and autoscalers at their ceiling, while the service is slow; the gain by bringing its spans to what they take while enough replicas run.",
	Needs: []evidence.Kind{evidence.ReplicasDesired, evidence.ReplicasCurrent},
	Uses:  []evidence.Kind{evidence.ReplicasMax, evidence.PodsPending, evidence.Spans},
	Finds: []Kind{FindScaling, overlap(FindScaling), FindReplicasGap, FindReplicasMax, FindPending},
	Run:   runScaling,
}

func runScaling(p *Pass) error {
	for _, e := range p.entitiesOf(evidence.ReplicasDesired) {
		current := p.seriesAt(evidence.ReplicasCurrent, e)
		if len(current) == 0 {
			continue
		}
		wanted := witnessOf(p.seriesAt(evidence.ReplicasDesired, e), witness{})
		if !grows(wanted.values) && !p.atCeiling(e) {
			continue // nobody asked for more: a rollout, or a fixed number
		}
		p.reportStall(stall{finds: FindScaling, entity: e, service: e.Service, stalled: p.spansAt(evidence.Entity{Service: e.Service}), facts: p.scalingFacts(e),
			text:      fmt.Sprintf("%s ran fewer replicas than it wanted while it was slow", e.Service),
			witnesses: p.scalingWitnesses(e, current)})
	}
	return nil
}

// grows: at some time more was wanted than before.
func grows(values []float64) bool {
	for i := 1; i < len(values); i++ {
		if values[i] > values[i-1] {
			return true
		}
	}
	return false
}

func (p *Pass) atCeiling(e evidence.Entity) bool {
	limit, ok := meanOf(p.seriesAt(evidence.ReplicasMax, e))
	wanted, okWanted := meanOf(p.seriesAt(evidence.ReplicasDesired, e))
	return ok && okWanted && limit > 0 && wanted >= limit
}

func (p *Pass) scalingWitnesses(e evidence.Entity, current []*evidence.Series) []*witness {
	missing := witnessOf(p.seriesAt(evidence.ReplicasDesired, e), witness{finds: FindReplicasGap, unit: "1", none: 0, full: 0.4,
		text: func(v float64) string { return percent(v) + " of the replicas wanted were not there" }})
	at, there := sumSeries(current)
	values := make([]float64, len(missing.values))
	for i, t := range missing.times {
		values[i] = clamp01(1 - per(valueAt(at, there, t), missing.values[i]))
		if missing.values[i] <= 0 {
			values[i] = 0
		}
	}
	missing.values = values
	return []*witness{missing,
		witnessOf(p.seriesAt(evidence.ReplicasDesired, e), witness{finds: FindReplicasMax, unit: "1", none: 0.95, full: 1,
			text: func(v float64) string { return "it wanted " + percent(v) + " of the most replicas that may be started" }}).over(p.seriesAt(evidence.ReplicasMax, e)),
		witnessOf(p.seriesOf(evidence.PodsPending, nil), witness{finds: FindPending, unit: "{pod}", support: true,
			text: func(v float64) string { return decimals(v, 1) + " pods waited for a node" }}),
	}
}

func (p *Pass) scalingFacts(e evidence.Entity) map[string]string {
	f := map[string]string{"service": e.Service}
	_, wanted := sumSeries(p.seriesAt(evidence.ReplicasDesired, e))
	_, there := sumSeries(p.seriesAt(evidence.ReplicasCurrent, e))
	f["wanted"], f["start"] = decimals(quantile(wanted, 0.95), 0), decimals(there[0], 0)
	if limit, ok := meanOf(p.seriesAt(evidence.ReplicasMax, e)); ok && limit > 0 {
		f["max"], f["proposed"] = decimals(limit, 0), decimals(math.Ceil(limit*1.5), 0)
	}
	return f
}

// afterRestart is how long a restart is felt: caches are cold, connections
// are opened, code is compiled.
const afterRestart = 60_000

// podDisruption measures restarts inside the window. A process that is older
// than the window has not been restarted; one that was new when the window
// began was started for the run.
var podDisruption = Analyzer{
	Name:  "pod-disruption",
	Doc:   "Restarts of a service's replicas inside the window, and what its requests took within a minute after them.",
	Uses:  []evidence.Kind{evidence.Restarts, evidence.ContainerRestarts, evidence.ReplicasCurrent, evidence.Spans},
	Finds: []Kind{FindDisruption, overlap(FindDisruption), FindRestarts},
	Run:   runDisruption,
}

func runDisruption(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.Restarts), p.entitiesOf(evidence.ContainerRestarts)) {
		times := p.restartsOf(e)
		if len(times) == 0 {
			continue
		}
		p.reportStall(stall{finds: FindDisruption, entity: e, service: e.Service, stalled: p.spansAt(evidence.Entity{Service: e.Service}), witnesses: []*witness{p.afterRestarts(e, times)},
			text:  fmt.Sprintf("%s was restarted %s inside the window", e, evidence.Counted(len(times), "time")),
			facts: map[string]string{"service": e.Service, "instance": e.Instance, "count": decimals(float64(len(times)), 0)}})
	}
	return nil
}

// restartsOf gives the times (Unix ms) of an entity's restarts: steps of the
// process's start time, or points at which restarts were counted.
func (p *Pass) restartsOf(e evidence.Entity) []int64 {
	var out []int64
	for _, s := range p.seriesAt(evidence.Restarts, e) {
		for i := 1; i < len(s.Values); i++ {
			if s.Values[i] > s.Values[i-1]+1 {
				out = append(out, max(int64(s.Values[i]*1000), s.Times[i-1]))
			}
		}
	}
	for _, s := range p.seriesAt(evidence.ContainerRestarts, e) {
		for i, v := range s.Values {
			if v > 0 && (i == 0 || s.Values[i-1] == 0) {
				out = append(out, s.Times[i]-int64(s.Over*1000))
			}
		}
	}
	return out
}

// afterRestarts is 1 within the minute after each restart, over the window.
func (p *Pass) afterRestarts(e evidence.Entity, restarts []int64) *witness {
	series := append(p.seriesAt(evidence.Restarts, e), p.seriesAt(evidence.ContainerRestarts, e)...)
	w := &witness{finds: FindRestarts, unit: "1", series: series, none: 0, full: 1,
		text: func(v float64) string { return percent(v) + " of the slow time lay within a minute after a restart" }}
	for t := p.Bundle.Window.Start.UnixMilli(); t < p.Bundle.Window.End.UnixMilli(); t += 1000 {
		v := 0.0
		for _, r := range restarts {
			if t >= r && t < r+afterRestart {
				v = 1
			}
		}
		w.times, w.values = append(w.times, t), append(w.values, v)
	}
	return w
}
