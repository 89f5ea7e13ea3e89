package analyzers

import (
	"fmt"
	"strconv"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Kinds of calls that take long by themselves: s a call.
const (
	FindSlowStatement  Kind = "statement.slow"
	FindSlowDependency Kind = "dependency.slow"
)

const (
	// slowShare of its request that one statement or dependency must take.
	slowShare = 0.3
	// slowCall is the least time of one call to be called slow at all.
	slowCall = 10 * int64(time.Millisecond)
)

// slowGain says how far the gain of a slow call can be trusted.
var slowGain = bound("the request without the call")

var statementDetector = detector{
	rule: "slow-query", finds: FindSlowStatement, unit: "s", warning: slowGain,
	find: func(t *Trace) []pattern {
		return t.slowCalls(func(i int32) bool { return isStatement(&t.Spans[i]) })
	},
	text: func(g *occurrences) string {
		text := fmt.Sprintf("A statement of %s takes %s and with it %s of the request: %s.", g.place.Operation, duration(g.median), g.example.facts["share"], g.brief())
		if server := g.example.facts["server"]; server != "" {
			text += " The server itself takes " + server + " a call."
		}
		return text
	},
}

var slowStatement = Analyzer{
	Name: "slow-statement",
	Doc: "Finds statements of which one call takes at least 10 ms and holds up its request for three tenths of its time or more, as their client sees it: " +
		"the way there, waiting for a connection inside the driver, the database's own time, fetching. Fewer than five in a row: more is N+1. " +
		"Value is the seconds of one call. The gain is an upper bound, the request without it; where the server's own account of the statement is known, no more than the server takes for it.",
	Needs: []evidence.Kind{evidence.Spans},
	Uses:  []evidence.Kind{evidence.PGStatements},
	Finds: []Kind{FindSlowStatement, FindSlowStatement + ".recurrence", FindUneven},
	Run:   runSlowStatement,
}

// runSlowStatement holds the client's view against the server's: what a call
// takes beyond the server's own time is no fault of the statement.
func runSlowStatement(p *Pass) error {
	served := servedStatements(p.Bundle)
	d := statementDetector
	d.find = func(t *Trace) []pattern {
		found := statementDetector.find(t)
		for i := range found {
			served.tell(t, &found[i])
		}
		return found
	}
	d.also = (*Pass).reportUneven
	return d.analyze(p)
}

// serverTime of a call of a statement, s.
type serverTime struct{ mean, stddev float64 }

type servedBy map[string]serverTime

// servedStatements of all servers by key: several entries may share one. An
// entry whose deviation is not known tells of no single call.
func servedStatements(b *evidence.Bundle) servedBy {
	served := servedBy{}
	for i := range b.Postgres {
		for k := range b.Postgres[i].Statements {
			s := &b.Postgres[i].Statements[k]
			if s.Key == "" || s.Calls < minStatements || s.StddevExec <= 0 {
				continue
			}
			x := served[s.Key]
			served[s.Key] = serverTime{max(x.mean, (s.Exec+s.Plan)/s.Calls), max(x.stddev, s.StddevExec)}
		}
	}
	return served
}

// tell adds the server's own time to a slow statement.
func (served servedBy) tell(t *Trace, found *pattern) {
	if own, known := served[t.Spans[found.spans[0]].Attr(evidence.AttrDBKey)]; known {
		found.facts["server"] = duration(own.mean)
	}
}

var dependencyDetector = detector{
	rule: "slow-dependency", finds: FindSlowDependency, unit: "s", warning: slowGain,
	find: func(t *Trace) []pattern {
		return t.slowCalls(func(i int32) bool {
			return t.Spans[i].Kind == evidence.KindClient && t.Spans[i].Attr(evidence.AttrDBSystem) == "" && t.answer(i) < 0
		})
	},
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s waits %s, one time in twenty %s, %s of the request, for something that leaves no spans: %s.",
			g.place.Operation, duration(g.median), duration(g.tail), g.example.facts["share"], g.brief())
	},
}

var slowDependency = Analyzer{
	Name: "slow-dependency",
	Doc: "Finds calls to something outside of the traces (a provider, a service without instrumentation) of which one takes at least 10 ms and holds up its request " +
		"for three tenths of its time or more. Value is the seconds of one call. The gain is an upper bound, the request without it.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindSlowDependency, FindSlowDependency + ".recurrence"},
	Run:   dependencyDetector.analyze,
}

// picked are the calls that match.
func picked(calls []int32, match func(int32) bool) []int32 {
	var out []int32
	for _, i := range calls {
		if match(i) {
			out = append(out, i)
		}
	}
	return out
}

func (t *Trace) slowCalls(match func(int32) bool) []pattern {
	var found []pattern
	for _, g := range t.groups {
		if len(g.calls) >= fewestRepeats {
			continue
		}
		calls := picked(g.calls, func(i int32) bool { return t.Spans[i].Duration() >= slowCall && match(i) })
		if len(calls) == 0 {
			continue
		}
		share := float64(t.onPath(calls)) / float64(max(t.Spans[g.server].Duration(), 1))
		if share < slowShare {
			continue
		}
		facts := t.spanFacts(calls[0])
		facts["calls"], facts["share"] = strconv.Itoa(len(calls)), percent(share)
		found = append(found, pattern{server: g.server, to: *g.to, spans: calls, value: seconds(t.medianDuration(calls)), facts: facts, cut: func(c Cuts) {
			for _, i := range calls {
				t.CutSubtree(c, i)
			}
		}})
	}
	return found
}
