package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindTimedOutCalls is the number of calls a request gave up waiting for.
const FindTimedOutCalls Kind = "calls.timed-out"

// FindOrphaned is the work that goes on for nobody after such a call, s a
// request that makes one.
const FindOrphaned Kind = "calls.orphaned"

// outlives is by how much the answer must end after the call did, for the
// caller to have given up rather than to have been quicker at closing its
// span.
const outlives = 5 * int64(time.Millisecond)

// maxDepth bounds how far above a call others are looked for.
const maxDepth = 256

var timeoutDetector = detector{
	rule: "timeout-cascade", finds: FindTimedOutCalls, unit: "1", find: timedOutCalls, also: reportOrphaned,
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s gave up after %s on %s.", g.place.Operation, g.example.facts["timeout"], g.brief())
	},
}

var timeouts = Analyzer{
	Name: "timeouts",
	Doc: "Finds calls that were given up: they failed with an error that names a timeout, or failed while the one who answered was still at work. " +
		"The depth says how many calls above it, one within the other, failed as well; orphaned is the work that went on for nobody; a deadline is inverted " +
		"where the one who was called waited longer for a call of its own, and gave it up later. " +
		"The gain is what the request would be without the wait.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindTimedOutCalls, FindTimedOutCalls + ".recurrence", FindOrphaned},
	Run:   timeoutDetector.analyze,
}

// timeoutWords are how languages and protocols call it.
var timeoutWords = []string{"timeout", "timed out", "timedout", "deadline", "504", "408"}

// gaveUp reports whether a call ended because its caller would not wait.
func (t *Trace) gaveUp(i int32) bool {
	s := &t.Spans[i]
	if !failed(s) {
		return false
	}
	why := strings.ToLower(s.Attr(evidence.AttrErrorType) + " " + s.Attr(evidence.AttrHTTPStatus))
	return slices.ContainsFunc(timeoutWords, func(w string) bool { return strings.Contains(why, w) }) || t.orphaned(i) > 0
}

// passesOn reports whether a call failed only because another within it was
// given up: its caller did wait for the answer, which was that failure.
func (t *Trace) passesOn(i int32) bool {
	origin := t.originOf(i)
	return origin != i && t.gaveUp(origin) && t.orphaned(i) == 0
}

// orphaned is how long the one who answered worked on after the call, in ns.
func (t *Trace) orphaned(i int32) int64 {
	a := t.answer(i)
	if a < 0 {
		return 0
	}
	if over := t.Spans[a].End - t.Spans[i].End; over >= outlives {
		return over
	}
	return 0
}

func timedOutCalls(t *Trace) []pattern {
	var found []pattern
	for _, g := range t.groups {
		calls := picked(g.calls, func(i int32) bool { return t.gaveUp(i) && !t.passesOn(i) })
		if len(calls) == 0 || !t.matters(g.server, calls) {
			continue
		}
		found = append(found, pattern{server: g.server, to: *g.to, spans: calls, value: float64(len(calls)), facts: t.timeoutFacts(calls), cut: func(c Cuts) {
			for _, i := range calls {
				t.CutSubtree(c, i)
			}
		}})
	}
	return found
}

func (t *Trace) timeoutFacts(calls []int32) map[string]string {
	facts := t.spanFacts(calls[0])
	facts["timeout"] = duration(seconds(t.medianDuration(calls)))
	facts["error"] = cmp.Or(t.Spans[calls[0]].Attr(evidence.AttrErrorType), t.Spans[calls[0]].Attr(evidence.AttrHTTPStatus))
	if inside := t.longestWithin(calls[0]); inside != calls[0] {
		facts["inside"] = t.calleeOf(inside).String()
	}
	depth := 1
	for p, up := t.Parent[calls[0]], 0; p >= 0 && up < maxDepth; p, up = t.Parent[p], up+1 {
		if isCall(&t.Spans[p]) && failed(&t.Spans[p]) {
			depth++
		}
	}
	facts["depth"] = strconv.Itoa(depth)
	var lost int64
	for _, i := range calls {
		lost += t.orphaned(i)
	}
	if lost > 0 {
		facts["orphaned"] = duration(seconds(lost))
	}
	if inner := t.innerDeadline(calls[0]); inner >= 0 {
		facts["inverted"], facts["inner"] = duration(seconds(t.Spans[inner].Duration())), t.calleeOf(inner).String()
	}
	return facts
}

// innerDeadline is the call that the one who answered waited for longer than
// its own caller would wait, until it gave up as well; -1 for none.
func (t *Trace) innerDeadline(i int32) int32 {
	a := t.answer(i)
	if a < 0 {
		return none
	}
	for todo := []int32{a}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, c := range t.children(p) {
			s := &t.Spans[c]
			switch {
			case s.Service != t.Spans[a].Service:
			case !isCall(s):
				todo = append(todo, c)
			case t.gaveUp(c) && s.Duration() > t.Spans[i].Duration() && s.End >= t.Spans[i].End+outlives:
				return c
			}
		}
	}
	return none
}

// reportOrphaned says what the work costs that goes on after a call was given
// up: it takes threads, connections and CPU from requests that are waited for.
func reportOrphaned(p *Pass, g *occurrences, at evidence.Entity) {
	lost := 0.0
	for k, t := range g.traces {
		for _, f := range g.found[k] {
			for _, i := range f.spans {
				lost += t.Weight * seconds(t.orphaned(i))
			}
		}
	}
	if lost == 0 {
		return
	}
	each := lost / g.requests()
	p.Report(Finding{Kind: FindOrphaned, Entity: at, Value: each, Unit: "s", Refs: typicalSlow(g.traces, 3),
		Text: fmt.Sprintf("After %s gave up, %s works on for %s a request, for nobody.", g.place.Operation, g.brief(), duration(each))})
}

// longestWithin follows a call down to the call that it spends most of its
// time in: half or more, at each level.
func (t *Trace) longestWithin(call int32) int32 {
	last := call
	for at, depth := call, 0; depth < maxDepth; depth++ {
		next := none
		for _, c := range t.children(at) {
			if 2*t.Spans[c].Duration() >= t.Spans[at].Duration() && (next == none || t.Spans[c].Duration() > t.Spans[next].Duration()) {
				next = c
			}
		}
		if next == none {
			return last
		}
		if at = next; isCall(&t.Spans[at]) {
			last = at
		}
	}
	return last
}
