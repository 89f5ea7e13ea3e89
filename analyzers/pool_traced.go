package analyzers

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// isPoolWait recognises the spans of waiting for a pool's connection among
// those of acquiring: one for opening a connection is none.
func isPoolWait(s *evidence.Span) bool {
	name := strings.ToLower(s.Name)
	return isAcquire(s) && (strings.Contains(name, "pool") || strings.Contains(name, "getconnection") || strings.Contains(name, "get connection") ||
		strings.Contains(name, "acquire") && s.Attr(evidence.AttrDBSystem) != "")
}

// acquire is one wait for a connection.
type acquire struct {
	end          int64 // Unix ms
	wait, weight float64
}

// tracedPool is a pool of which nothing is known but the waits in the traces:
// nil where metrics tell how long callers of the service's pools wait, and where
// nobody waits long. How large it is nobody knows.
func (p *Pass) tracedPool(service string) *pool {
	counted := slices.ContainsFunc(p.pools(), func(e evidence.Entity) bool {
		pl, ok := poolOf(p, e)
		return e.Service == service && ok && pl.hasWait
	})
	if counted {
		return nil
	}
	pl := &pool{entity: evidence.Entity{Service: service}, max: math.Inf(1), hasWait: true, hasShare: true, spans: p.Facts.serviceSpans(service), isWait: isPoolWait}
	all := pl.acquired()
	if len(all) < fewestTraces {
		return nil
	}
	weight, waited := 0.0, 0.0
	for _, a := range all {
		pl.times, pl.waits = append(pl.times, a.end), append(pl.waits, a.wait)
		if weight += a.weight; a.wait >= queuedWait {
			waited += a.weight
		}
	}
	if waited == 0 {
		return nil
	}
	pl.wait, pl.waitShare = p.loadedMean(service, pl.times, pl.waits), waited/weight
	return pl
}

// acquired lists the waits for connections in the traces, by their end. Names
// are few and are looked at once.
func (pl *pool) acquired() []acquire {
	var out []acquire
	waits := map[string]bool{}
	for k, t := range pl.spans.traces {
		for _, i := range pl.spans.at(k) {
			s := &t.Spans[i]
			is, known := waits[s.Name]
			if !known {
				is = pl.isWait(s)
				waits[s.Name] = is
			}
			if is && s.Attr(evidence.AttrDBQuery) == "" {
				out = append(out, acquire{s.End / 1e6, seconds(t.SelfTime(i)), t.Weight})
				pl.query = s.Name
			}
		}
	}
	slices.SortStableFunc(out, func(a, b acquire) int { return cmp.Compare(a.end, b.end) })
	return out
}

// reportTracedPools tells of the pools that no metric counts.
func (p *Pass) reportTracedPools() {
	for _, service := range slices.Sorted(maps.Keys(p.Facts.index.services)) {
		if pl := p.tracedPool(service); pl != nil {
			p.reportTracedPool(pl)
		}
	}
}

func (p *Pass) reportTracedPool(pl *pool) {
	e := pl.entity
	f := Finding{Kind: FindPoolWait, Entity: e, Value: pl.wait, Unit: "s", Refs: typicalSlow(pl.spans.traces, 3),
		Text:   fmt.Sprintf("%s waits %.1f ms on average for each connection, by its spans %s", e.Service, pl.wait*1000, pl.query),
		Facts:  map[string]string{"service": e.Service, "wait_ms": fmt.Sprintf("%.1f", pl.wait*1000), "setting": poolSetting(strings.ReplaceAll(strings.ToLower(pl.query), "-", "_"))},
		Charts: []Chart{{Title: "Wait for a connection", Unit: "s", Lines: []Line{{Name: "wait an acquire", Times: pl.times, Values: pl.waits}}}}}
	f.Impact, f.Victims = p.predictWorst(pl.spans.traces, pl.cuts)
	p.Report(f)
	p.reportWaits(pl, f.Refs)
	reportPoolDB(p, pl)
}
