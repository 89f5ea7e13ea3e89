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
const slowGain = "the gain is an upper bound: the request without the call"

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
	Finds: []Kind{FindSlowStatement, FindSlowStatement + ".recurrence"},
	Run:   runSlowStatement,
}

// runSlowStatement says the server's view beside the client's.
func runSlowStatement(p *Pass) error {
	served := servedStatements(p.Bundle)
	d := statementDetector
	d.find = func(t *Trace) []pattern {
		found := statementDetector.find(t)
		for i := range found {
			if own, known := served[t.Spans[found[i].spans[0]].Attr(evidence.AttrDBKey)]; known {
				found[i].facts["server"] = duration(own.mean)
			}
		}
		return found
	}
	return d.analyze(p)
}

// serverTime of a statement, s: the mean of a call, and what nearly all calls
// keep within.
type serverTime struct{ mean, most float64 }

// deviations beyond the mean that are still laid to a statement itself: one
// call in ten at most takes longer (Cantelli's inequality), whatever their
// distribution.
const deviations = 3

// servedStatements of all servers by key: several entries may share one. An
// entry whose deviation is not known bounds nothing.
func servedStatements(b *evidence.Bundle) map[string]serverTime {
	served := map[string]serverTime{}
	for i := range b.Postgres {
		for k := range b.Postgres[i].Statements {
			s := &b.Postgres[i].Statements[k]
			if s.Key == "" || s.Calls < minStatements || s.StddevExec <= 0 {
				continue
			}
			mean, x := (s.Exec+s.Plan)/s.Calls, served[s.Key]
			served[s.Key] = serverTime{max(x.mean, mean), max(x.most, mean+deviations*s.StddevExec)}
		}
	}
	return served
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
