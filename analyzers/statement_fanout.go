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
		"Without traces the gain is at most the share of all statements sent that would go.",
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

func reportFanout(p *Pass, pg *evidence.Postgres, parent, child *evidence.Statement) {
	ratio := child.Calls / parent.Calls
	sent := 0.0
	for i := range pg.Statements {
		if s := &pg.Statements[i]; s.TopLevel {
			sent += s.Calls
		}
	}
	c := charge{caller: p.callerOf(map[string]float64{child.Key: 1})}
	if len(p.Facts.Traces) == 0 && p.Facts.ofRequests() {
		gone := (child.Calls - parent.Calls) / sent
		c.impact, c.victims = p.orRough(nil, nil, rough{calls: parent.Calls, saved: func(s *Symptom) float64 { return gone * s.P50 }, method: "share of the statements sent that would go"})
		c.impact.limit()
	}
	normal, _ := evidence.NormalizeSQL(child.Text)
	f := c.finding(FindStatementFanout, c.about(pg, normal), ratio, "1",
		fmt.Sprintf("it is called %.2f times for each call of another statement that returns %.2f rows: one call for every row", ratio, parent.Rows/parent.Calls),
		serverFacts(pg, map[string]string{"statement": child.Text, "parent": parent.Text, "calls": fmt.Sprintf("%.0f", ratio)}))
	f.Refs = []evidence.Ref{statementRef(child), statementRef(parent)}
	p.Report(f)
}
