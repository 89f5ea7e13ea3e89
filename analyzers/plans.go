package analyzers

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindPlanSpread Kind = "plan.spread" // standard deviation of a statement's time over its mean
	FindPlanLocked Kind = "plan.locked" // share of its active time in waits, which spread times too, 0..1
	FindJITShare   Kind = "jit.share"   // share of a statement's time spent compiling, 0..1
	FindPageWaste  Kind = "page.waste"  // blocks touched for each row returned by a statement that skips or counts
	FindStaleStats Kind = "stats.stale" // how far the planner's idea of a table's rows is off, a factor
)

// busyShare of the executor's time below which a statement is not worth a
// finding.
const busyShare = 0.02

// fewestSlowCalls that a choice of the planner's shows in: one that was held
// up once deviates by the root of all the calls.
const fewestSlowCalls = 5.0

// plans measures what the planner chose badly, as far as counters tell.
var plans = Analyzer{
	Name: "plans",
	Doc: "Statements whose time varies beyond their waits, that compile longer than they should, that read what they skip or count, and tables whose statistics are stale. " +
		"From pg_stat_statements and pg_stat_user_tables; the gain by the share of time concerned, an upper bound where the counters cannot say how much.",
	Needs: []evidence.Kind{evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.PGTables, evidence.PGActivity, evidence.Spans},
	Finds: []Kind{FindPlanSpread, FindPlanLocked, FindJITShare, FindPageWaste, FindStaleStats},
	Run:   runPlans,
}

func runPlans(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		total := execTotal(pg)
		for k := range pg.Statements {
			if s := &pg.Statements[k]; s.Exec > 0 && s.Exec >= busyShare*total {
				reportPlanSpread(p, pg, s)
				reportJIT(p, pg, s)
				reportPaging(p, pg, s)
			}
		}
		for k := range pg.Tables {
			reportStaleStats(p, pg, &pg.Tables[k])
		}
	}
	return nil
}

// reportPlanSpread: a deviation of three times the mean means few calls that
// take very long. Locks do that as well, and so does a first call, so that an
// entry born in the window is left out.
func reportPlanSpread(p *Pass, pg *evidence.Postgres, s *evidence.Statement) {
	if s.Calls < 100 || s.Mean() <= 0 || len(s.Flags) > 0 || s.StddevExec < 3*s.Mean() {
		return
	}
	// two speeds, one of them nearly nothing: the slow calls are a share
	// 1/(1+cv^2) of all and take nearly all of the time
	cv := s.StddevExec / s.Mean()
	slow := 1 / (1 + cv*cv)
	if s.Mean()/slow < seconds(slowCall) || slow*s.Calls < fewestSlowCalls {
		return // even its slow calls are fast, or they are too few to be a choice
	}
	by, total := waitsOf(pg, map[string]bool{s.QueryID: true})
	locked := 0.0
	if s.QueryID != "" && total > 0 {
		locked = per(float64(total-by["CPU"]-by["IO:DataFileRead"]), float64(total))
	}
	e := reportStatement(p, pg, s, statementFinding{kind: FindPlanSpread, value: cv, unit: "1", cut: 1 - slow, atMost: true,
		facts: map[string]string{"slow_calls": fmt.Sprintf("%.1f %%", slow*100), "stddev_ms": fmt.Sprintf("%.1f", s.StddevExec*1000)},
		text:  fmt.Sprintf("its time varies %.1f times as much as its mean of %.1f ms: about one call in %.0f takes nearly all of it", cv, s.Mean()*1000, math.Round(1/slow))})
	p.Report(Finding{Kind: FindPlanLocked, Entity: e, Value: locked, Unit: "1", Refs: []evidence.Ref{activityRef},
		Text: fmt.Sprintf("%.0f %% of its active time were waits that spread its times as well", locked*100)})
}

func reportJIT(p *Pass, pg *evidence.Postgres, s *evidence.Statement) {
	if s.JIT < 0.1 {
		return
	}
	share := clamp01(s.JIT / s.Exec)
	reportStatement(p, pg, s, statementFinding{kind: FindJITShare, value: share, unit: "1", cut: share,
		text: fmt.Sprintf("%.0f %% of its time (%.1f ms a call) went into compiling it", share*100, 1000*s.JIT/s.Calls)})
}

var (
	skips    = regexp.MustCompile(`(?i)\boffset\s+(\$\d+|\?|\d+)`)
	counting = regexp.MustCompile(`(?i)^\s*select\s+count\s*\([^)]*\)[^;]*$`)
)

// Guards of paging, from a reproduced case: 13,600 blocks for 20 rows.
const (
	pageBlocks = 1000 // a call
	pageRatio  = 100  // blocks for each row
)

// reportPaging finds statements that read what they do not return: rows
// skipped by OFFSET, or a whole table that is counted.
func reportPaging(p *Pass, pg *evidence.Postgres, s *evidence.Statement) {
	rows := max(s.Rows/s.Calls, 1)
	waste := s.BlocksPerCall() / rows
	counts := counting.MatchString(s.Text) && rows <= 1 && !strings.Contains(strings.ToLower(s.Text), " where ")
	if s.BlocksPerCall() < pageBlocks || waste < pageRatio || !counts && !skips.MatchString(s.Text) {
		return
	}
	what, how := "skips with OFFSET", "offset"
	if counts {
		what, how = "counts a whole table", "count"
	}
	reportStatement(p, pg, s, statementFinding{kind: FindPageWaste, value: waste, unit: "{block}", cut: 1 - min(1, (4+2*rows)/s.BlocksPerCall()), atMost: counts,
		facts: map[string]string{"how": how, "blocks": fmt.Sprintf("%.0f", s.BlocksPerCall())},
		text:  fmt.Sprintf("it %s: each call touches %.0f blocks and returns %.1f rows", what, s.BlocksPerCall(), s.Rows/s.Calls)})
}

// reportStaleStats: the planner reckons with reltuples. A table that changed
// by a fifth since it was analyzed, and has three times as many rows or a
// third of them, is planned for as something else.
func reportStaleStats(p *Pass, pg *evidence.Postgres, t *evidence.PGTable) {
	rows, believed := max(t.Live, 1), max(t.RelTuples, 1)
	factor := max(rows/believed, believed/rows)
	if max(rows, believed) < scanMinRows || t.ModSinceAnlz < 0.2*believed || factor < 2 {
		return
	}
	cut, saved := map[string]float64{}, 0.0
	total := execTotal(pg)
	for i := range pg.Statements {
		if s := &pg.Statements[i]; s.Exec >= busyShare*total && readsTable(s, t.Name) {
			cut[s.Key], saved = workShare(pg, s.QueryID), max(saved, s.Mean())
		}
	}
	c := p.charge(cut, saved, "mean time of the statements that read the table")
	c.impact.limit()
	p.Report(c.finding(FindStaleStats, c.about(pg, t.Name), factor, "1",
		fmt.Sprintf("the planner takes %s for %.0f rows, it has about %.0f; %.0f changed since it was analyzed", t.Name, t.RelTuples, t.Live, t.ModSinceAnlz),
		serverFacts(pg, map[string]string{"table": t.Name})))
}

func readsTable(s *evidence.Statement, table string) bool {
	for _, t := range s.Tables {
		if t == table {
			return evidence.SQLVerb(s.Text) != "INSERT" && evidence.SQLVerb(s.Text) != "COPY"
		}
	}
	return false
}
