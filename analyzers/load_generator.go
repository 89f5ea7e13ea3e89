package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindLoadLimited Kind = "load.limited"       // share of the iterations that the generator should have started and did not, 0..1
	FindLoadUsers   Kind = "load.users.share"   // virtual users at work / those it may start, 0..1
	FindLoadBlocked Kind = "load.blocked.share" // generator's wait for a connection of its own / latency it measured, 0..1
	FindLoadGap     Kind = "load.gap"           // share of the generator's p95 that no server saw, 0..1
)

// loadGenerator asks whether the generator kept up with its own plan. What it
// did not send in time is a wait that no server and no percentile shows
// (coordinated omission), so that the run says less than it seems to. All
// virtual users at work says nothing by itself: a closed model always has them.
var loadGenerator = Analyzer{
	Name:  "load-generator",
	Doc:   "Iterations that the load generator dropped, its users at their maximum, its wait for connections of its own, and what it measured beyond what any server did.",
	Uses:  []evidence.Kind{evidence.LoadRuns, evidence.LoadUsers, evidence.LoadUsersMax, evidence.LoadDropped, evidence.LoadIterations, evidence.LoadBlocked},
	Finds: []Kind{FindLoadLimited, FindLoadGap, FindLoadUsers, FindLoadBlocked},
	Run:   runLoadGenerator,
}

func runLoadGenerator(p *Pass) error {
	for i := range p.Bundle.Loads {
		l := &p.Bundle.Loads[i]
		e := evidence.Entity{Resource: l.Tool}
		all := allRequests(l)
		if done := all.Count; l.Dropped+done > 0 && !p.droppedInMetrics() {
			p.reportDropped(e, l.Dropped, done, evidence.Ref{Source: "load", Query: "dropped_iterations"})
		}
		if worst := p.slowestRoot(); all.P95 > 0 && worst > 0 {
			gap := clamp01((all.P95 - worst) / all.P95)
			p.Report(Finding{Kind: FindLoadGap, Entity: e, Value: gap, Unit: "1",
				Text: fmt.Sprintf("the generator measured a p95 of %.0f ms, the slowest operation's own is %.0f ms", all.P95*1000, worst*1000)})
		}
	}
	for _, e := range p.entitiesOf(evidence.LoadUsers) {
		p.generatorMetrics(e)
	}
	return nil
}

// droppedInMetrics: the generator's own counter is read where there is one.
func (p *Pass) droppedInMetrics() bool {
	return p.Bundle.Has(evidence.LoadDropped) && p.Bundle.Has(evidence.LoadIterations) && p.Bundle.Has(evidence.LoadUsers)
}

func (p *Pass) reportDropped(e evidence.Entity, dropped, done float64, ref evidence.Ref) {
	share := per(dropped, dropped+done)
	p.Report(Finding{Kind: FindLoadLimited, Entity: e, Value: share, Unit: "1", Refs: []evidence.Ref{ref},
		Text:  fmt.Sprintf("the load generator did not start %.1f %% of what it should have in time", share*100),
		Facts: map[string]string{"tool": e.Resource, "dropped": percent(share)}})
}

func allRequests(l *evidence.LoadRun) evidence.LoadStat {
	for _, s := range l.Requests {
		if s.Name == "" {
			return s
		}
	}
	return evidence.LoadStat{}
}

// slowestRoot is the largest p95 that any operation saw of itself.
func (p *Pass) slowestRoot() float64 {
	most := 0.0
	for i := range p.Facts.Symptoms {
		if s := &p.Facts.Symptoms[i]; s.Requests >= minRequests && s.ofServers() {
			most = max(most, s.P95)
		}
	}
	return most
}

// generatorMetrics reads a generator that writes its metrics to Prometheus.
func (p *Pass) generatorMetrics(e evidence.Entity) {
	dropped, ok := meanOf(p.seriesAt(evidence.LoadDropped, e))
	done, okDone := meanOf(p.seriesAt(evidence.LoadIterations, e))
	if ok && okDone && dropped+done > 0 {
		p.reportDropped(e, dropped, done, evidence.Ref{Source: "prometheus", Query: p.seriesAt(evidence.LoadDropped, e)[0].Query})
	}
	_, users := sumSeries(p.seriesAt(evidence.LoadUsers, e))
	if limit, ok := meanOf(p.seriesAt(evidence.LoadUsersMax, e)); ok && limit > 0 {
		v := quantile(users, 0.95) / limit
		p.Report(Finding{Kind: FindLoadUsers, Entity: e, Value: v, Unit: "1",
			Text: fmt.Sprintf("%.0f of the %.0f virtual users that it may start were at work", v*limit, limit)})
	}
	blocked, ok := meanOf(p.seriesAt(evidence.LoadBlocked, e))
	if worst := p.slowestRoot(); ok && worst > 0 {
		p.Report(Finding{Kind: FindLoadBlocked, Entity: e, Value: clamp01(blocked / (blocked + worst)), Unit: "1",
			Text: fmt.Sprintf("its requests waited %.1f ms for a connection of its own", blocked*1000)})
	}
}
