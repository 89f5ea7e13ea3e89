package analyzers

import (
	"cmp"
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
	for _, e := range p.pools() {
		if e.Service == "" || !slices.Contains(services, e.Service) {
			continue
		}
		pl, ok := poolOf(p, e)
		if !ok || !pl.hasWait || slices.Max(pl.waits) < queuedWait {
			continue
		}
		if r := p.reliefOf(pl, off, len(services) == 1); r != nil {
			out = append(out, r)
		}
	}
	return out
}

// reliefOf one pool; nil where none of its connections comes free. Sessions
// are the pool's by their application_name; where only one service sends the
// statements, all that send them are.
func (p *Pass) reliefOf(pl *pool, off freed, alone bool) *relief {
	free := map[int64]float64{}
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for k := range pg.Activity {
			s := &pg.Activity[k]
			if isActive(s) && s.Ticks > 0 && (alone || s.App == pl.entity.Service) {
				free[s.At] += off(pg, s) * float64(s.Sessions) / float64(s.Ticks)
			}
		}
	}
	r := &relief{pool: pl}
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
		held := min(max(valueAt(at, used, t), valueAt(at, used, t+1000), free[t]), pl.max)
		r.shares = append(r.shares, clamp01(per(free[t], held)/emptied))
	}
	if len(r.times) == 0 {
		return nil
	}
	return r
}

// during is the share of a wait from one time to another, in ns, that goes:
// the mean over its seconds. Sightings are of whole seconds.
func (r *relief) during(from, to int64) float64 {
	from, to = from/1e9*1000, to/1e9*1000
	sum, n := 0.0, 0.0
	i, _ := slices.BinarySearch(r.times, from)
	for t := from; t <= to; t += 1000 {
		for i < len(r.times) && r.times[i] < t {
			i++
		}
		if i < len(r.times) && r.times[i] < t+1000 {
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
		if t >= from/1e6-1000 && t <= to/1e6 {
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
