package analyzers

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// freed is the share of a sighting of an active session, 0..1, that would go
// if a mechanism were removed.
type freed func(*evidence.Postgres, *evidence.WaitSample) float64

// freedBy takes a share off the sightings of statements, by key. A session
// that binds a statement shows no query id but its first word.
func freedBy(cut map[string]float64) freed {
	known := map[*evidence.Postgres]map[string]float64{}
	return func(pg *evidence.Postgres, s *evidence.WaitSample) float64 {
		if known[pg] == nil {
			known[pg] = map[string]float64{}
			for i := range pg.Statements {
				x := &pg.Statements[i]
				for _, id := range []string{x.QueryID, evidence.SQLVerb(x.Text)} {
					known[pg][id] = max(known[pg][id], cut[x.Key])
				}
			}
		}
		return known[pg][cmp.Or(s.QueryID, strings.ToUpper(s.Verb))]
	}
}

const (
	// queuedWait: a pool whose callers wait less has no queue to speak of, s.
	queuedWait = 0.001
	// emptied: once so large a share of a full pool's connections is free, few
	// callers wait. At half use an M/M/c queue of 4 makes one in six wait.
	emptied = 0.5
)

// relief is what becomes of the queue for a pool's connections when those who
// hold them are held up for less long.
type relief struct {
	*pool
	step   int64 // ms between sightings
	times  []int64
	shares []float64 // of the wait that goes, 0..1, over time
}

// reliefs of the pools of services that would hold fewer connections. By
// Little's law the connections held are as many fewer as their holders' time
// is shorter: a queue for connections that statements make by waiting for
// something goes with what they wait for.
func (p *Pass) reliefs(services []string, off freed) []*relief {
	if off == nil {
		return nil
	}
	var out []*relief
	for _, service := range services {
		for _, pl := range p.queuedPools(service) {
			if r := p.reliefOf(pl, off, len(services) == 1); r != nil {
				out = append(out, r)
			}
		}
	}
	return out
}

// queuedPools of a service are those for whose connections callers wait: by
// the pools' own account, or, where no pool of the service gives one, by the
// spans of acquiring.
func (p *Pass) queuedPools(service string) []*pool {
	if service == "" {
		return nil
	}
	var out []*pool
	for _, e := range p.pools() {
		if e.Service != service {
			continue
		}
		if pl, ok := poolOf(p, e); ok && pl.hasWait && slices.Max(pl.waits) >= queuedWait {
			out = append(out, pl)
		}
	}
	if pl := p.tracedPool(service); pl != nil {
		out = append(out, pl)
	}
	return out
}

// reliefOf one pool; nil where none of its connections comes free. Sessions
// are the pool's by their application_name; where only one service sends the
// statements, all that send them are.
func (p *Pass) reliefOf(pl *pool, off freed, alone bool) *relief {
	free, active := map[int64]float64{}, map[int64]float64{}
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for k := range pg.Activity {
			s := &pg.Activity[k]
			if isActive(s) && s.Ticks > 0 && (alone || s.App == pl.entity.Service) {
				n := float64(s.Sessions) / float64(s.Ticks)
				free[s.At] += off(pg, s) * n
				active[s.At] += n
			}
		}
	}
	r := &relief{pool: pl, step: p.sightingStep()}
	at, used := sumSeries(p.seriesAt(evidence.PoolUsed, pl.entity))
	for t, n := range free {
		if n > 0 {
			r.times = append(r.times, t)
		}
	}
	slices.Sort(r.times)
	for _, t := range r.times {
		// the pool's gauge is read once a scrape: while it fills up, more
		// sessions are seen than it says
		held := min(max(valueAt(at, used, t), valueAt(at, used, t+r.step), active[t]), pl.max)
		r.shares = append(r.shares, clamp01(per(free[t], held)/emptied))
	}
	if len(r.times) == 0 {
		return nil
	}
	return r
}

// sightingStep is the time between two sightings of the sessions, in ms: they
// are summed up by the second, and where nobody was active there is none.
func (p *Pass) sightingStep() int64 {
	least := int64(math.MaxInt64)
	for i := range p.Bundle.Postgres {
		activity := p.Bundle.Postgres[i].Activity
		for k := 1; k < len(activity); k++ {
			if d := activity[k].At - activity[k-1].At; d > 0 {
				least = min(least, d)
			}
		}
	}
	if least == math.MaxInt64 {
		return 1000
	}
	return least
}

// during is the share of a wait from one time to another, in ns, that goes:
// the mean over its sightings.
func (r *relief) during(from, to int64) float64 {
	zero := r.times[0] % r.step
	first := (from/1e6-zero)/r.step*r.step + zero
	sum, n := 0.0, 0.0
	i, _ := slices.BinarySearch(r.times, first)
	for t := first; t <= to/1e6; t += r.step {
		for i < len(r.times) && r.times[i] < t {
			i++
		}
		if i < len(r.times) && r.times[i] < t+r.step {
			sum += r.shares[i]
		}
		n++
	}
	return per(sum, n)
}

// most is the largest share within a stretch of time, in ns.
func (r *relief) most(from, to int64) float64 {
	largest := 0.0
	for i, t := range r.times {
		if t >= from/1e6-r.step && t <= to/1e6 {
			largest = max(largest, r.shares[i])
		}
	}
	return largest
}

// with adds to a mechanism's cuts the waits for connections that it causes.
func with(reliefs []*relief, touched []*Trace, cut func(*Trace) Cuts) ([]*Trace, func(*Trace) Cuts) {
	if len(reliefs) == 0 {
		return touched, cut
	}
	touched = slices.Clone(touched)
	for _, r := range reliefs {
		touched = append(touched, r.spans.traces...)
	}
	slices.SortFunc(touched, compareTraces)
	return slices.Compact(touched), func(t *Trace) Cuts {
		c := cut(t)
		for _, r := range reliefs {
			r.cutWaits(t, c, r.during)
		}
		return c
	}
}
