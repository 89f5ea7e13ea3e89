package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindTempShare Kind = "temp.share" // share of a statement's time in temporary files, 0..1
	FindTempBytes Kind = "temp.bytes" // By written to temporary files a call
)

// tempSpill measures statements that spill. A spill is no bottleneck by
// itself: two reproduced ones took 6 % of their statements' time, and one of
// them was slower with enough memory (PostgreSQL 15).
var tempSpill = Analyzer{
	Name:  "temp-spill",
	Doc:   "Statements that sort or hash in temporary files, by the share of their time that this takes: the server's own timing, or sampled sessions where it is not timed. The gain is that share.",
	Needs: []evidence.Kind{evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.PGActivity, evidence.Spans},
	Finds: []Kind{FindTempShare, FindTempBytes},
	Run:   runTempSpill,
}

func runTempSpill(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		sampled := map[string]float64{}
		for _, s := range waitingFor(pg, isTempIO).statements() {
			if s.count >= fewestSightings {
				sampled[s.QueryID] = s.share
			}
		}
		for k := range pg.Statements {
			if s := &pg.Statements[k]; s.TempWrite > 0 && s.Exec > 0 {
				reportSpill(p, pg, s, max(clamp01(s.TempTime/s.Exec), sampled[s.QueryID]))
			}
		}
	}
	return nil
}

func reportSpill(p *Pass, pg *evidence.Postgres, s *evidence.Statement, share float64) {
	written := 8192 * s.TempWrite / max(s.Calls, 1)
	// a sort or hash in memory needs two to three times what it writes
	facts := map[string]string{"written_mb": fmt.Sprintf("%.0f", written/1e6), "proposed_mb": fmt.Sprintf("%.0f", max(3*written/(1<<20), 8))}
	e := reportStatement(p, pg, s, statementFinding{kind: FindTempShare, value: share, unit: "1", cut: share, facts: facts,
		text: fmt.Sprintf("it writes %.1f MB to temporary files a call, which takes %.0f %% of its time", written/1e6, share*100)})
	p.Report(Finding{Kind: FindTempBytes, Entity: e, Value: written, Unit: "By", Refs: []evidence.Ref{statementRef(s)}, Text: fmt.Sprintf("%.1f MB a call go to temporary files", written/1e6)})
}

// statementFinding is what a mechanism does to one statement.
type statementFinding struct {
	kind   Kind
	value  float64
	unit   string
	cut    float64 // share of the statement's time that would go
	text   string
	facts  map[string]string
	atMost bool
}

// reportStatement reports it on the statement, with what its callers would
// gain, and gives the finding's entity.
func reportStatement(p *Pass, pg *evidence.Postgres, s *evidence.Statement, f statementFinding) evidence.Entity {
	cut := map[string]float64{s.Key: clamp01(f.cut)}
	c := p.charge(cut, s.Mean()*clamp01(f.cut), "mean time of the statement by the server's own account")
	if c.caller.IsZero() {
		c.caller = p.callerOf(map[string]float64{s.Key: 1})
	}
	if f.atMost {
		c.impact.limit()
	}
	if f.facts == nil {
		f.facts = map[string]string{}
	}
	f.facts["statement"], f.facts["mean_ms"] = s.Text, fmt.Sprintf("%.1f", s.Mean()*1000)
	normal, _ := evidence.NormalizeSQL(s.Text)
	e := c.about(pg, normal)
	finding := c.finding(f.kind, e, f.value, f.unit, f.text, serverFacts(pg, f.facts))
	finding.Refs = append([]evidence.Ref{statementRef(s)}, c.refs...)
	p.Report(finding)
	return e
}

// execTotal is the executor's time over all statements, s.
func execTotal(pg *evidence.Postgres) float64 {
	total := 0.0
	for i := range pg.Statements {
		total += pg.Statements[i].Exec
	}
	return total
}
