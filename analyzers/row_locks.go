package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindRowLock         Kind = "row.lock"            // share of the statements' active time spent waiting for rows, 0..1
	FindRowLockSessions Kind = "row.lock.aas"        // the same as average active sessions
	FindRowLockQueue    Kind = "row.lock.queue"      // share of the waits that queue for the very same row version, 0..1
	FindRowLockSpread   Kind = "row.lock.statements" // statements that make up nine tenths of the waits
)

// rowLocks finds tables whose rows writers queue for. Lock:tuple is the queue
// for one row version: it tells a hot row from ordinary conflicts. LWLock
// LockManager waits on the same statements are a consequence of the queue.
var rowLocks = Analyzer{
	Name:  "row-locks",
	Doc:   "Statements that wait for rows locked by other transactions, table by table, from sampled sessions, and in what their blockers were; the gain by taking the waits out of the statements' spans.",
	Needs: []evidence.Kind{evidence.PGActivity, evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.PGBlocking, evidence.Spans},
	Finds: []Kind{FindRowLock, FindRowLockSessions, FindRowLockQueue, FindRowLockSpread},
	Run:   runRowLocks,
}

func runRowLocks(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		by := map[string][]statementWait{}
		var tables []string
		for _, s := range waitingFor(pg, isRowLock).statements() {
			t := lockedTable(pg, s.Statement)
			if by[t] == nil {
				tables = append(tables, t)
			}
			by[t] = append(by[t], s)
		}
		for _, t := range tables {
			reportRowLocks(p, pg, t, by[t])
		}
	}
	return nil
}

// lockedTable is the table whose rows a statement waits for: where a waiter's
// lock on the row was seen, its relation; else the first it names.
func lockedTable(pg *evidence.Postgres, s *evidence.Statement) string {
	for i := range pg.Blocking {
		if e := &pg.Blocking[i]; e.Waiter == s.QueryID && e.Relation != "" && isRowEdge(e) {
			return e.Relation
		}
	}
	if len(s.Tables) == 0 {
		return ""
	}
	return s.Tables[0]
}

func isRowEdge(e *evidence.BlockEdge) bool {
	return e.LockType == "transactionid" || e.LockType == "tuple"
}

func reportRowLocks(p *Pass, pg *evidence.Postgres, table string, list []statementWait) {
	waits, seen, tuple := rowLockSightings(pg, list)
	if waits < fewestSightings {
		return
	}
	c := p.charge(shares(list, 1), longestWait(list), methodSampled)
	e := c.about(pg, table)
	share := per(float64(waits), float64(seen))
	blockers := blockersOf(pg, list)
	facts := serverFacts(pg, map[string]string{"table": table, "statement": list[0].Text, "blockers": blockers, "wait_ms": fmt.Sprintf("%.1f", 1000*longestWait(list)),
		"commits": commitsPerFlush(pg)})
	text := fmt.Sprintf("statements on %s spend %.0f %% of their time waiting for rows that other transactions hold (%d sightings)", table, share*100, waits)
	if blockers != "" {
		text += "; the holders were: " + blockers
	}
	f := c.finding(FindRowLock, e, share, "1", text, facts)
	f.Charts = []Chart{p.waitChart(pg)}
	p.Report(f)
	report := func(k Kind, v float64, unit, text string) {
		p.Report(Finding{Kind: k, Entity: e, Value: v, Unit: unit, Text: text, Refs: []evidence.Ref{activityRef}})
	}
	aas := per(float64(waits), float64(pg.Ticks))
	report(FindRowLockSessions, aas, "{session}", fmt.Sprintf("%.2f sessions on average wait for a row of %s", aas, table))
	queue := per(float64(tuple), float64(waits))
	report(FindRowLockQueue, queue, "1", fmt.Sprintf("%.0f %% of these waits queue for the very same row", queue*100))
	n := 0
	for left := 0.9 * float64(waits); n < len(list) && left > 0; n++ {
		left -= float64(list[n].count)
	}
	report(FindRowLockSpread, float64(n), "{statement}", "nine tenths of them are of "+evidence.Counted(n, "statement"))
}

// rowLockSightings of statements: in row locks, at all, and in the queue for
// one row version.
func rowLockSightings(pg *evidence.Postgres, list []statementWait) (waits, seen, tuple int) {
	ids := map[string]bool{}
	for _, s := range list {
		ids[s.QueryID] = true
		waits += s.count
	}
	by, total := waitsOf(pg, ids)
	return waits, total, by["Lock:tuple"]
}

// blockersOf says in what the holders were when someone waited for them, the
// most frequent first: it decides what helps.
func blockersOf(pg *evidence.Postgres, list []statementWait) string {
	seen, total := map[string]int{}, 0
	for i := range pg.Blocking {
		e := &pg.Blocking[i]
		if isRowEdge(e) && slices.ContainsFunc(list, func(s statementWait) bool { return s.QueryID == e.Waiter }) {
			seen[cmp.Or(e.BlockerState, "gone")+" in `"+shorten(cmp.Or(e.BlockerText, "an unknown statement"), 80)+"`"] += e.Samples
			total += e.Samples
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(seen[b], seen[a]), cmp.Compare(a, b)) })
	var out []string
	for _, name := range names[:min(3, len(names))] {
		out = append(out, fmt.Sprintf("%s (%d of %d)", name, seen[name], total))
	}
	return strings.Join(out, ", ")
}

// commitsPerFlush is about 1 where every commit has to wait for its own flush
// because the next one waits for the row.
func commitsPerFlush(pg *evidence.Postgres) string {
	if pg.Database == nil || pg.Database.WALSyncs == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", pg.Database.Commits/pg.Database.WALSyncs)
}
