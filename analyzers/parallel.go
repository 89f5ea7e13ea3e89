package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindParallelStarved Kind = "parallel.starved" // share of the workers that a statement's plans asked for and did not get, 0..1
	FindParallelCPU     Kind = "parallel.cpu"     // how far the server's processors are used up, 0..1: more workers would only queue
)

// parallel measures statements that were planned for workers that the server
// had not got. PostgreSQL counts both numbers from 18 on; before, they can be
// seen in EXPLAIN (ANALYZE) alone, which runs the statement.
var parallel = Analyzer{
	Name: "parallel",
	Doc: "Statements whose plans asked for parallel workers that were not there (PostgreSQL 18 and later count them). " +
		"The gain as if the work divided evenly among the leader and its workers, an upper bound.",
	Needs: []evidence.Kind{evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.PGActivity, evidence.NodeCPUCount, evidence.Spans},
	Finds: []Kind{FindParallelStarved, FindParallelCPU},
	Run:   runParallel,
}

func runParallel(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		total := execTotal(pg)
		for k := range pg.Statements {
			s := &pg.Statements[k]
			if s.Planned < fewestSightings || s.Planned < s.Launched || s.Exec <= 0 || s.Exec < busyShare*total {
				continue
			}
			reportStarved(p, pg, s)
		}
	}
	return nil
}

func reportStarved(p *Pass, pg *evidence.Postgres, s *evidence.Statement) {
	starved := 1 - s.Launched/s.Planned
	planned, launched := s.Planned/s.Calls, s.Launched/s.Calls
	e := reportStatement(p, pg, s, statementFinding{kind: FindParallelStarved, value: starved, unit: "1", cut: 1 - (1+launched)/(1+planned), atMost: true,
		facts: map[string]string{"planned": fmt.Sprintf("%.1f", planned), "launched": fmt.Sprintf("%.1f", launched)},
		text:  fmt.Sprintf("its plans asked for %.1f workers a call and got %.1f: %.0f %% were not there", planned, launched, starved*100)})
	if value, text, ok := databaseCPU(p); ok {
		p.Report(Finding{Kind: FindParallelCPU, Entity: e, Value: value, Unit: "1", Text: text, Refs: []evidence.Ref{activityRef}})
	}
}
