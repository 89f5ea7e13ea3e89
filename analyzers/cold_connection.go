package analyzers

import (
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// coldStatements tells what the first statement on a connection would take on
// one that has served before. A new backend has neither the system tables nor the
// plans of the one before it, and the driver prepares anew: next to an
// executor's 0.4 ms the client of PostgreSQL 15 saw 3 to 13 ms.
type coldStatements struct {
	usual  map[*callee]int64 // ns, the median of those that were not the first
	served servedBy          // else what the server itself takes
}

// coldStatementsOf reads the traces of services that connect.
func coldStatementsOf(b *evidence.Bundle, traces []*Trace) coldStatements {
	warm := map[*callee][]int64{}
	for _, t := range traces {
		first := t.firstStatements()
		for _, c := range t.called {
			if isStatement(&t.Spans[c.span]) && !slices.Contains(first, c) {
				warm[c.to] = append(warm[c.to], t.Spans[c.span].Duration())
			}
		}
	}
	cold := coldStatements{usual: map[*callee]int64{}, served: servedStatements(b)}
	for to, durations := range warm {
		if len(durations) >= fewestTraces {
			slices.Sort(durations)
			cold.usual[to] = durations[len(durations)/2]
		}
	}
	return cold
}

// firstStatements are the statements that follow a connection being opened:
// for each the next of its request.
func (t *Trace) firstStatements() []call {
	var first []call
	for i := range t.Spans {
		if !isConnect(&t.Spans[i]) {
			continue
		}
		k := slices.IndexFunc(t.called, func(c call) bool {
			s := &t.Spans[c.span]
			return t.server[c.span] == t.server[i] && s.Start >= t.Spans[i].End-clockRounding && isStatement(s) && !slices.Contains(first, c)
		})
		if k >= 0 {
			first = append(first, t.called[k])
		}
	}
	return first
}

// cut takes out of a trace what opening connections costs it: the opening, and
// what a first statement takes beyond any other.
func (cold *coldStatements) cut(t *Trace) Cuts {
	c := t.cutWhere(isConnect)
	for _, made := range t.firstStatements() {
		took := t.Spans[made.span].Duration()
		if warm := cold.warm(t, made); warm > 0 && warm < took {
			t.Shorten(c, made.span, float64(warm)/float64(took))
		}
	}
	return c
}

// warm is what a statement takes on a connection in use, in ns; 0 where
// nothing tells.
func (cold *coldStatements) warm(t *Trace, made call) int64 {
	if usual := cold.usual[made.to]; usual > 0 {
		return usual
	}
	own := cold.served[t.Spans[made.span].Attr(evidence.AttrDBKey)]
	return int64(1e9 * (own.mean + own.stddev))
}
