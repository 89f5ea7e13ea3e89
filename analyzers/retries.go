package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindRetriedCalls is the number of further attempts a request makes.
const FindRetriedCalls Kind = "calls.retried"

var retryDetector = detector{
	rule: "retry-storm", finds: FindRetriedCalls, unit: "1", find: retriedCalls,
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s repeats failed calls, %s further attempts a request that meets a failure and up to %s, waiting %s on them at the median: %s.",
			g.place.Operation, strconv.Itoa(int(g.median)), strconv.Itoa(int(g.most)), g.example.facts["wasted"], g.brief())
	},
}

var retries = Analyzer{
	Name: "retries",
	Doc: "Finds calls that are made again after they failed: the same call with the same parameters by the same request, begun after an attempt that ended in an error, " +
		"a 5xx or a 429. Value is the number of further attempts. The gain removes the failed attempts that were repeated, with the pauses after them.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindRetriedCalls, FindRetriedCalls + ".recurrence"},
	Run:   retryDetector.analyze,
}

func retriedCalls(t *Trace) []pattern {
	var found []pattern
	for _, g := range t.groups {
		var wasted []int32
		var pauses map[int32][]stretch // by parent
		for k := 1; k < len(g.calls); k++ {
			before, again := g.calls[k-1], g.calls[k]
			if !t.retries(before, again) {
				continue
			}
			if wasted == nil {
				pauses = map[int32][]stretch{}
			}
			wasted = append(wasted, before)
			if p := t.Parent[before]; p >= 0 && p == t.Parent[again] {
				pauses[p] = append(pauses[p], stretch{t.Spans[before].End, t.Spans[again].Start})
			}
		}
		if len(wasted) > 0 && t.matters(g.server, wasted) {
			found = append(found, t.retryPattern(g, wasted, pauses))
		}
	}
	return found
}

func (t *Trace) retryPattern(g callGroup, wasted []int32, pauses map[int32][]stretch) pattern {
	facts := t.spanFacts(wasted[0])
	facts["attempts"] = strconv.Itoa(len(wasted) + 1)
	facts["error"] = t.Spans[wasted[0]].Attr(evidence.AttrErrorType)
	if facts["error"] == "" {
		facts["error"] = t.Spans[wasted[0]].Attr(evidence.AttrHTTPStatus)
	}
	if origin := t.originOf(wasted[0]); origin != wasted[0] {
		facts["origin"] = t.calleeOf(origin).String()
		facts["error"] = cmp.Or(t.Spans[origin].Attr(evidence.AttrErrorType), t.Spans[origin].Attr(evidence.AttrHTTPStatus), facts["error"])
	}
	facts["backoff"] = backoffOf(pauses[t.Parent[wasted[0]]])
	waste := int64(0)
	for _, i := range wasted {
		waste += t.Spans[i].Duration()
	}
	for _, list := range pauses {
		for _, s := range list {
			waste += max(s.to-s.from, 0)
		}
	}
	facts["wasted"] = duration(seconds(waste))
	return pattern{server: g.server, to: *g.to, spans: wasted, value: float64(len(wasted)), facts: facts, cut: func(c Cuts) {
		for _, i := range wasted {
			t.CutSubtree(c, i)
		}
		for p, list := range pauses {
			t.CutSelf(c, p, t.selfWithin(p, list, t.Spans[p].Duration()))
		}
	}}
}

// originOf follows a failed call to the failed call within it that the failure
// came from: the last to begin at each level, as what went before was mended.
func (t *Trace) originOf(call int32) int32 {
	origin := call
	for at, depth := call, 0; depth < maxDepth; depth++ {
		next := none
		for _, c := range t.children(at) {
			if s := &t.Spans[c]; isCall(s) && failed(s) || c == t.answer(at) {
				next = c
			}
		}
		if next == none {
			break
		}
		if at = next; isCall(&t.Spans[at]) && failed(&t.Spans[at]) {
			origin = at
		}
	}
	return origin
}

// backoffOf names the pauses between attempts: growing when each is at least
// half as long again as the one before, none when all are below a
// millisecond.
func backoffOf(pauses []stretch) string {
	long := func(s stretch) bool { return s.to-s.from >= leastTime }
	if !slices.ContainsFunc(pauses, long) {
		return "none"
	}
	for k := 1; k < len(pauses); k++ {
		if before, now := pauses[k-1].to-pauses[k-1].from, pauses[k].to-pauses[k].from; 2*now < 3*before {
			return "constant"
		}
	}
	if len(pauses) == 1 {
		return "one pause"
	}
	return "growing"
}
