package analyzers

import (
	"fmt"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Ramps from "has room" to "is the limit".
const (
	cpuRoom, cpuFull           = 0.7, 1.3 // sessions on CPU for each core; above 1 they queue
	slowdownRoom, slowdownFull = 1.5, 3.5 // a statement's median while slow over its median otherwise
	minStatements              = 20       // spans on each side of that comparison
)

// reportPoolDB asks whether the database behind a pool is itself the limit:
// then the queue for connections is its victim, and a larger pool would only
// move the queue. Two witnesses can tell, the server's sessions on CPU against
// its cores, and the statements' own time in the traces; either clears it.
func reportPoolDB(p *Pass, pl *pool) {
	var value float64
	var texts []string
	hear := func(v float64, text string, ok bool) {
		if !ok {
			return
		}
		if len(texts) == 0 || v < value {
			value = v
		}
		texts = append(texts, text)
	}
	hear(databaseCPU(p))
	hear(statementSlowdown(p, pl.entity.Service))
	if len(texts) == 0 {
		return
	}
	p.Report(Finding{Kind: FindPoolDBSaturated, Entity: pl.entity, Value: value, Unit: "1", Refs: []evidence.Ref{activityRef}, Text: strings.Join(texts, "; ")})
}

// databaseCores is how many cores the database has, 0 where it is not known:
// with several servers or nodes nobody tells which belong together.
func (p *Pass) databaseCores() float64 {
	if len(p.Bundle.Postgres) != 1 || len(p.entitiesOf(evidence.NodeCPUCount)) != 1 {
		return 0
	}
	cores, _ := meanOf(p.seriesOf(evidence.NodeCPUCount, nil))
	return cores
}

// databaseCPU compares sessions on CPU with cores, where there is one server
// and one node, so that it is known which belong together.
func databaseCPU(p *Pass) (value float64, text string, ok bool) {
	cores := p.databaseCores()
	if cores == 0 || p.Bundle.Postgres[0].Ticks == 0 {
		return 0, "", false
	}
	busy := activeSessions(&p.Bundle.Postgres[0], func(w *evidence.WaitSample) bool { return isActive(w) && w.WaitType == "" })
	return clamp01((per(busy, cores) - cpuRoom) / (cpuFull - cpuRoom)),
		fmt.Sprintf("%.1f sessions of the database were on CPU, on %.0f cores", busy, cores), true
}

// statementSlowdown compares the service's statements while it was slow with
// those at other times.
func statementSlowdown(p *Pass, service string) (value float64, text string, ok bool) {
	var slow, other []float64
	spans := p.Facts.serviceSpans(service)
	for k, t := range spans.traces {
		for _, i := range spans.at(k) {
			s := &t.Spans[i]
			if s.Attr(evidence.AttrDBKey) == "" || !isStatement(s) {
				continue
			}
			if p.slowAt(service, s.Start/1e6) {
				slow = append(slow, float64(s.Duration()))
			} else {
				other = append(other, float64(s.Duration()))
			}
		}
	}
	if len(slow) < minStatements || len(other) < minStatements {
		return 0, "", false
	}
	factor := per(quantile(slow, 0.5), quantile(other, 0.5))
	return clamp01((factor - slowdownRoom) / (slowdownFull - slowdownRoom)),
		fmt.Sprintf("the statements of %s take %.1f times as long while it is slow as otherwise", service, factor), true
}
