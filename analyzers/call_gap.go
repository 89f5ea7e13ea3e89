package analyzers

import (
	"fmt"
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindCallGap is the time of a request's calls that nobody accounts for: the
// caller's span less the answer's, s a request.
const FindCallGap Kind = "call.gap"

// gapFloor is the percentile of an edge's gaps taken for the least it takes to
// get there and back.
const gapFloor = 0.1

var callGap = Analyzer{
	Name: "call-gap",
	Doc: "Finds calls that take long between services: the caller's span lasts longer than the span of the one who answered. What lies between is network, " +
		"connecting, queueing before the handler, and reading the answer. Durations are compared, not times, so that clocks do not matter. " +
		"Value is the seconds a request waits there; the gain brings each gap to the tenth percentile of its edge.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindCallGap, FindCallGap + ".recurrence"},
	Run:   runCallGap,
}

var gapDetector = detector{
	rule: "network-latency", finds: FindCallGap, unit: "s",
	find: func(t *Trace) []pattern { return t.gaps(func(gapEdge) int64 { return 0 }) },
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s waits %s a request on the way to and from %s, outside of its handler.", g.place.Operation, duration(g.median), g.brief())
	},
}

// fewestGaps below which neither the fastest tenth of them is known nor the
// slowest twentieth: one request would be both.
const fewestGaps = 20

// gapEdge is one caller and one callee.
type gapEdge struct {
	place *evidence.Entity
	to    *callee
}

func runCallGap(p *Pass) error {
	seen := map[gapEdge][]int64{}
	for _, t := range p.Facts.Traces {
		for _, g := range t.groups {
			for _, i := range g.calls {
				if gap := t.gap(i); gap >= 0 {
					e := gapEdge{t.place(g.server), g.to}
					seen[e] = append(seen[e], gap)
				}
			}
		}
	}
	floors := make(map[gapEdge]int64, len(seen))
	for e, gaps := range seen {
		slices.Sort(gaps)
		if floors[e] = math.MaxInt64; len(gaps) < fewestGaps {
			continue
		}
		floors[e] = gaps[int(gapFloor*float64(len(gaps)))]
	}
	d := gapDetector
	d.find = func(t *Trace) []pattern { return t.gaps(func(e gapEdge) int64 { return floors[e] }) }
	return d.analyze(p)
}

// gap of a call in ns, or -1 where the one who answered left no span or
// worked on after the call.
func (t *Trace) gap(i int32) int64 {
	a := t.answer(i)
	if a < 0 || t.Spans[a].Duration() > t.Spans[i].Duration() {
		return -1
	}
	return t.Spans[i].Duration() - t.Spans[a].Duration()
}

func (t *Trace) gaps(floor func(gapEdge) int64) []pattern {
	var found []pattern
	for _, g := range t.groups {
		least := floor(gapEdge{t.place(g.server), g.to})
		var calls []int32
		sum := int64(0)
		for _, i := range g.calls {
			if gap := t.gap(i); gap > least && t.blocks(i) {
				calls = append(calls, i)
				sum += gap - least
			}
		}
		if sum < leastTime || float64(sum) < leastShare*float64(t.Spans[g.server].Duration()) || !t.matters(g.server, calls) {
			continue
		}
		found = append(found, pattern{server: g.server, to: *g.to, spans: calls, value: seconds(sum), facts: t.spanFacts(calls[0]), cut: func(c Cuts) {
			for _, i := range calls {
				t.CutSelf(c, i, t.gap(i)-least)
			}
		}})
	}
	return found
}
