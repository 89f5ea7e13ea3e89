package analyzers

import (
	"fmt"
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const FindStatementFanout Kind = "statement.fanout" // calls of one statement for each call of the one that lists

const (
	fanoutCalls   = 1000 // of the child; fewer may coincide
	fanoutFewest  = 5    // rows a call of the parent
	fanoutAgree   = 0.05 // between the ratio of calls and the parent's rows a call
	fanoutOneRow  = 1.2  // rows a call of the child, at most
	fanoutParents = 5    // calls a parent must have
)

// statementFanout finds N+1 without a trace: a statement that returns r rows a
// call, and another of one row that is called r times as often. In the
// reproduced case both ratios were 20.00, and the database's load went down,
// so that nothing that looks at load can find it.
var statementFanout = Analyzer{
	Name: "statement-fanout",
	Doc: "Pairs of statements of which one returns about as many rows a call as the other is called for each of its calls, from pg_stat_statements. " +
		"The gain by leaving one call of many in the traces; without traces, the share of the statements that would go, of the requests that are asked as often as the first statement is called.",
	Needs: []evidence.Kind{evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindStatementFanout},
	Run:   runStatementFanout,
}

func runStatementFanout(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if pg.Subset {
			continue
		}
		for k := range pg.Statements {
			child := &pg.Statements[k]
			if !looksUpOne(child) {
				continue
			}
			if parent := parentOf(pg, child); parent != nil {
				reportFanout(p, pg, parent, child)
			}
		}
	}
	return nil
}

// looksUpOne reports whether a statement reads one row of one table by key.
func looksUpOne(s *evidence.Statement) bool {
	return s.TopLevel && s.Calls >= fanoutCalls && s.Rows/s.Calls <= fanoutOneRow && s.Rows > 0 && len(s.Tables) == 1 && evidence.SQLVerb(s.Text) == "SELECT"
}

// parentOf is the listing statement whose rows fit the calls of a child best.
func parentOf(pg *evidence.Postgres, child *evidence.Statement) *evidence.Statement {
	var best *evidence.Statement
	closest := fanoutAgree
	for i := range pg.Statements {
		s := &pg.Statements[i]
		if s == child || !s.TopLevel || s.User != child.User || s.Calls < fanoutParents || evidence.SQLVerb(s.Text) != "SELECT" {
			continue
		}
		rows, ratio := s.Rows/s.Calls, child.Calls/s.Calls
		if off := math.Abs(ratio-rows) / max(rows, 1); rows >= fanoutFewest && off < closest {
			best, closest = s, off
		}
	}
	return best
}

// fanoutCost without traces, of a request that lists once: most of what it sends
// goes, each statement with a way there and back, which is taken to be its time.
// An operation that is asked as often as the statement that lists makes that
// request; where none is, nobody is known to, and it is no more than a bound.
func fanoutCost(parent, child *evidence.Statement) rough {
	gone := (child.Calls - parent.Calls) / (child.Calls + parent.Calls)
	return rough{calls: parent.Calls, saved: func(s *Symptom) float64 { return gone * s.P50 },
		method: "share of the statements of a request that would go, each taken to last as long"}
}

func reportFanout(p *Pass, pg *evidence.Postgres, parent, child *evidence.Statement) {
	ratio := child.Calls / parent.Calls
	cut := map[string]float64{child.Key: 1 - 1/ratio}
	touched, cuts := p.Facts.statementCuts(cut)
	cost := fanoutCost(parent, child)
	c := p.chargeCuts(touched, cuts, p.callerOf(cut), cost)
	switch {
	case len(p.Facts.Traces) > 0:
	case !p.Facts.ofRequests(): // a statement is not faster for being asked less often
		c.impact, c.victims = nil, nil
	case p.askedAsOften(cost) == nil:
		c.impact.limit()
	}
	normal, _ := evidence.NormalizeSQL(child.Text)
	f := c.finding(FindStatementFanout, c.about(pg, normal), ratio, "1",
		fmt.Sprintf("it is called %.2f times for each call of another statement that returns %.2f rows: one call for every row", ratio, parent.Rows/parent.Calls),
		serverFacts(pg, map[string]string{"statement": child.Text, "parent": parent.Text, "calls": fmt.Sprintf("%.0f", ratio)}))
	f.Refs = []evidence.Ref{statementRef(child), statementRef(parent)}
	p.Report(f)
}
