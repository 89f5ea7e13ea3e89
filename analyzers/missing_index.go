package analyzers

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindStatementScan  Kind = "statement.scan"  // rows read for each row needed by a statement that scans a table
	FindStatementShare Kind = "statement.share" // share of the server's executor time, 0..1
	FindIndexAdvice    Kind = "index.advice"    // planner cost saved by the index, 0..1; only where verified
)

// Guards of the missing-index detection, from eight reproduced cases on
// PostgreSQL 15: the sick statement touched 17,271 blocks a call, the healthy
// one 23; the cache-hit ratio and the mean time of other statements did not
// separate sick from healthy.
const (
	scanMinCalls  = 20
	scanMinRows   = 5000 // a smaller table is scanned for good reason
	scanMinBlocks = 50
	scanReadShare = 0.5 // of the table's sequential reads must be this statement's, by its share of calls that touch the table
)

// missingIndex finds statements that read a table from end to end to return
// few rows, names the columns an index would need, and predicts the gain.
var missingIndex = Analyzer{
	Name:  "missing-index",
	Doc:   "Statements that touch many blocks and read whole tables for few rows, from pg_stat_statements and pg_stat_user_tables; the gain by shortening their spans to the cost an index would leave.",
	Needs: []evidence.Kind{evidence.PGStatements, evidence.PGTables},
	Uses:  []evidence.Kind{evidence.Spans, evidence.PGIndexAdvice, evidence.PGActivity},
	Finds: []Kind{FindStatementScan, FindStatementShare, FindIndexAdvice},
	Run:   runMissingIndex,
}

// scan is one statement that reads a table from end to end.
type scan struct {
	statement *evidence.Statement
	table     *evidence.PGTable
	advice    *evidence.IndexAdvice // nil where none could be worked out
	after     float64               // share of the time that would remain
	examined  float64               // rows read for each row needed
}

func runMissingIndex(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for _, group := range groupScans(pg) {
			reportScan(p, pg, group)
		}
	}
	return nil
}

// groupScans finds the scanning statements and puts those together that one
// index would serve.
func groupScans(pg *evidence.Postgres) [][]scan {
	by := map[string][]scan{}
	var order []string
	for i := range pg.Statements {
		s, ok := scanOf(pg, &pg.Statements[i])
		if !ok {
			continue
		}
		name := s.resource()
		if by[name] == nil {
			order = append(order, name)
		}
		by[name] = append(by[name], s)
	}
	out := make([][]scan, 0, len(order))
	for _, name := range order {
		slices.SortStableFunc(by[name], func(x, y scan) int { return cmp.Compare(y.statement.Exec, x.statement.Exec) })
		out = append(out, by[name])
	}
	return out
}

// scanOf tells whether a statement reads a table from end to end.
func scanOf(pg *evidence.Postgres, s *evidence.Statement) (scan, bool) {
	if s.Calls < scanMinCalls || s.BlocksPerCall() < scanMinBlocks {
		return scan{}, false
	}
	t := scannedTable(pg, s)
	if t == nil {
		return scan{}, false
	}
	sc := scan{statement: s, table: t, advice: adviceFor(pg, s)}
	needed := max(s.Rows/s.Calls, 1)
	if aggregates(s.Text) && sc.advice != nil {
		needed = max(needed, sc.advice.Rows)
	}
	sc.examined = max(t.RelTuples, t.Live) / needed
	sc.after = min(1, (4+2*needed)/s.BlocksPerCall())
	if sc.verified() {
		sc.after = max(sc.after, sc.advice.CostAfter/sc.advice.CostBefore)
	}
	if aggregates(s.Text) && !sc.verified() && (sc.advice == nil || sc.advice.Rows == 0) {
		return scan{}, false // few rows come out of many that were needed: only the planner can tell
	}
	return sc, sc.examined >= 20 && sc.after < 0.5
}

// verified: the server's own planner would use the index.
func (s scan) verified() bool { return s.advice != nil && s.advice.Verified && s.advice.CostBefore > 0 }

// aggregating matches what makes one row out of many.
var aggregating = regexp.MustCompile(`(?i)\b(group\s+by|distinct|union|intersect|except|over\s*\(|(count|sum|avg|min|max|array_agg|string_agg|jsonb?_agg|bool_(and|or)|percentile_\w+)\s*\()`)

// aggregates reports whether the rows that a statement returns say nothing of
// the rows that it needs.
func aggregates(text string) bool { return aggregating.MatchString(text) }

// scannedTable is the table of a statement whose sequential reads this
// statement accounts for: it must touch at least a fifth of the table's blocks a
// call, and the table must have been read about that often.
func scannedTable(pg *evidence.Postgres, s *evidence.Statement) *evidence.PGTable {
	var best *evidence.PGTable
	for i := range pg.Tables {
		t := &pg.Tables[i]
		rows := max(t.RelTuples, t.Live)
		if rows < scanMinRows || t.SeqRead < scanReadShare*rows*min(s.Calls, scanMinCalls) || !slices.Contains(s.Tables, t.Name) {
			continue
		}
		if s.BlocksPerCall() < 0.2*t.Bytes/8192 {
			continue
		}
		if best == nil || t.SeqRead > best.SeqRead {
			best = t
		}
	}
	return best
}

func adviceFor(pg *evidence.Postgres, s *evidence.Statement) *evidence.IndexAdvice {
	for i := range pg.Advice {
		if pg.Advice[i].QueryID == s.QueryID && s.QueryID != "" {
			return &pg.Advice[i]
		}
	}
	return nil
}

// resource names what is missing: table(columns), or the table where the
// columns could not be worked out.
func (s scan) resource() string {
	if s.advice == nil || len(s.advice.Columns) == 0 {
		return s.table.Name
	}
	return s.table.Name + "(" + strings.Join(s.advice.Columns, ", ") + ")"
}

func reportScan(p *Pass, pg *evidence.Postgres, group []scan) {
	top := group[0]
	e := evidence.Entity{Resource: top.resource()}
	keys := map[string]float64{}
	exec, total := 0.0, execTotal(pg)
	for _, s := range group {
		keys[s.statement.Key] = 1 - s.after
		exec += s.statement.Exec
	}
	c := p.charge(keys, top.statement.Mean()*(1-top.after), "mean time of the statement by the server's own account")
	if by := p.Facts.callers(top.statement.Key); len(by) > 0 {
		e.Service, e.Operation = by[0].Service, by[0].Operation
	}
	p.Report(Finding{Kind: FindStatementScan, Entity: e, Value: top.examined, Unit: "1", Text: top.sentence(),
		Refs:   append([]evidence.Ref{statementRef(top.statement)}, c.refs...),
		Impact: c.impact, Victims: c.victims, Facts: top.facts(pg)})
	share := per(exec, total)
	p.Report(Finding{Kind: FindStatementShare, Entity: e, Value: share, Unit: "1", Refs: []evidence.Ref{statementRef(top.statement)},
		Text: fmt.Sprintf("%.0f %% of the executor's time went into it", share*100)})
	if a := top.advice; top.verified() {
		p.Report(Finding{Kind: FindIndexAdvice, Entity: e, Value: 1 - a.CostAfter/a.CostBefore, Unit: "1",
			Text: fmt.Sprintf("with the index the planner's cost falls from %.0f to %.0f", a.CostBefore, a.CostAfter)})
	}
}

func (s scan) sentence() string {
	return fmt.Sprintf("each of %.0f calls touches %.0f blocks to return %.1f rows of %s (about %.0f rows, read in sequence %.0f times over)",
		s.statement.Calls, s.statement.BlocksPerCall(), s.statement.Rows/s.statement.Calls, s.table.Name,
		max(s.table.RelTuples, s.table.Live), s.table.SeqRead/max(s.table.RelTuples, s.table.Live, 1))
}

func (s scan) facts(pg *evidence.Postgres) map[string]string {
	f := map[string]string{"table": s.table.Name, "statement": s.statement.Text, "database": pg.Server.Name,
		"mean_ms": fmt.Sprintf("%.1f", s.statement.Mean()*1000), "blocks": fmt.Sprintf("%.0f", s.statement.BlocksPerCall())}
	if s.advice != nil {
		f["ddl"], f["note"] = s.advice.DDL, s.advice.Note
		f["columns"] = strings.Join(s.advice.Columns, ", ")
		f["verified"] = strconv.FormatBool(s.advice.Verified)
	}
	return f
}

// statementRef is the query that shows a statement's row.
func statementRef(s *evidence.Statement) evidence.Ref {
	return evidence.Ref{Source: "postgres", Query: "SELECT calls, rows, mean_exec_time, shared_blks_hit + shared_blks_read AS blocks, query FROM pg_stat_statements WHERE queryid = " + s.QueryID}
}
