package analyzers

import (
	"fmt"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Ramps from "has room" to "is the limit".
const (
	cpuRoom, cpuFull           = 0.7, 1.3 // sessions on CPU for each core; above 1 they queue
	slowdownRoom, slowdownFull = 1.5, 3.5 // the statements' mean time while slow over that otherwise
	minStatements              = 20       // spans on each side of that comparison
	// the time for which a connection is held while all are taken over that
	// otherwise: looking at full times alone makes it up to thrice as long
	heldRoom, heldFull = 3.0, 10.0
	minScrapes         = 5 // of a full pool and of one that is not
)

// reportPoolDB asks whether the database behind a pool is itself the limit:
// then the queue for connections is its victim, and a larger pool would only
// move the queue. Two witnesses can tell, the server's sessions on CPU against
// its cores, and the statements' own time in the traces; either clears it,
// unless those who hold the connections were seen to wait for locks, or hold
// them for much longer while all are taken.
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
	for _, held := range []func(*Pass, *pool) (float64, string){heldByLocks, heldForLonger} {
		if v, text := held(p, pl); v > value || text != "" && len(texts) == 0 {
			value, texts = v, append(texts, text)
		}
	}
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

// heldByLocks is the share of the wait for connections that falls into times
// when those who held them waited for locks.
func heldByLocks(p *Pass, pl *pool) (value float64, text string) {
	locked := func(_ *evidence.Postgres, s *evidence.WaitSample) float64 {
		if s.WaitType == "Lock" {
			return 1
		}
		return 0
	}
	r := p.reliefOf(pl, locked, len(p.pools()) == 1)
	if r == nil || !pl.hasWait {
		return 0, ""
	}
	due, all := 0.0, 0.0
	for i, t := range pl.times {
		// counters tell of a wait when it is over, and a rate spreads that
		all += pl.waits[i]
		due += pl.waits[i] * r.most(t*1e6-int64(1e9*(pl.over+pl.waits[i])), t*1e6)
	}
	value = per(due, all)
	return value, fmt.Sprintf("%.0f %% of the wait falls into times when those who held the connections waited for locks", 100*value)
}

// heldForLonger compares for how long a connection is held, by Little's law
// from those in use and the acquires, while all are taken and while not. A
// pool that is too small is full of the same short uses; one that fills up
// because its users are held up is not made better by being larger.
func heldForLonger(p *Pass, pl *pool) (value float64, text string) {
	at, rates := sumSeries(p.seriesAt(evidence.PoolAcquires, pl.entity))
	times, used := sumSeries(p.seriesAt(evidence.PoolUsed, pl.entity))
	type account struct{ used, acquires, scrapes float64 }
	var full, other account
	for i, t := range times {
		a := &other
		if used[i] >= 0.9*pl.max {
			a = &full
		}
		a.used, a.acquires, a.scrapes = a.used+used[i], a.acquires+valueAt(at, rates, t), a.scrapes+1
	}
	if full.scrapes < minScrapes || other.scrapes < minScrapes {
		return 0, ""
	}
	factor := per(per(full.used, full.acquires), per(other.used, other.acquires))
	return clamp01((factor - heldRoom) / (heldFull - heldRoom)), fmt.Sprintf("a connection of %s is held %.1f times as long while all are taken as otherwise", pl.owner(), factor)
}

// statementSlowdown compares the mean time of the service's statements while
// it was slow with that at other times. By Little's law the mean decides how
// many connections they hold, however few of them are slow.
func statementSlowdown(p *Pass, service string) (value float64, text string, ok bool) {
	var slow, other []float64
	spans := p.Facts.serviceSpans(service)
	for k, t := range spans.traces {
		for _, i := range spans.at(k) {
			s := &t.Spans[i]
			if s.Attr(evidence.AttrDBKey) == "" || !isStatement(s) {
				continue
			}
			if p.slowSoon(service, s.End/1e6) {
				slow = append(slow, float64(s.Duration()))
			} else {
				other = append(other, float64(s.Duration()))
			}
		}
	}
	if len(slow) < minStatements || len(other) < minStatements {
		return 0, "", false
	}
	factor := per(mean(slow), mean(other))
	return clamp01((factor - slowdownRoom) / (slowdownFull - slowdownRoom)),
		fmt.Sprintf("the statements of %s take %.1f times as long while it is slow as otherwise", service, factor), true
}
