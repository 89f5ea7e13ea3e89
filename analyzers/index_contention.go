package analyzers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindIndexContention Kind = "index.contention"     // share of the inserting statements' active time spent waiting for buffers, 0..1
	FindIndexSessions   Kind = "index.contention.aas" // the same as average active sessions
	FindIndexMonotonic  Kind = "index.monotonic"      // indexes of the table whose leading column only grows
	FindIndexCount      Kind = "index.count"          // indexes that every insert maintains
	FindExtendWait      Kind = "table.extend"         // share of the time spent waiting to extend the table, 0..1
	FindWALWait         Kind = "statement.wal"        // share spent waiting for the write-ahead log, 0..1
)

// indexContention finds tables whose writers queue for the same index pages.
// LWLock waits carry no relation: that the page belongs to an index is
// inferred from the waiting statement's table, its monotonic indexes, and the
// comparison with waits to extend the heap (PostgreSQL 15, nine reproduced
// runs: no index 1.8 average sessions on BufferContent, a serial key 7.1, nine
// indexes 10.4 to 17.2).
var indexContention = Analyzer{
	Name:  "index-contention",
	Doc:   "Writers of one table that wait for buffer content locks while the table has monotonic indexes; the gain by taking the waits, and the upkeep of the indexes nothing read, out of their spans.",
	Needs: []evidence.Kind{evidence.PGActivity, evidence.PGIndexes, evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindIndexContention, FindIndexSessions, FindIndexMonotonic, FindIndexCount, FindExtendWait, FindWALWait},
	Run:   runIndexContention,
}

func runIndexContention(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for _, table := range indexedTables(pg) {
			reportContention(p, pg, table)
		}
	}
	return nil
}

// indexedTables names the tables that have indexes, once each, in order.
func indexedTables(pg *evidence.Postgres) []string {
	var out []string
	for i := range pg.Indexes { // sorted by table
		if t := pg.Indexes[i].Table; len(out) == 0 || out[len(out)-1] != t {
			out = append(out, t)
		}
	}
	return out
}

func reportContention(p *Pass, pg *evidence.Postgres, table string) {
	queries, keys := writersOf(pg, table)
	waits, total := waitsOf(pg, queries)
	content := waits["LWLock:BufferContent"]
	if total < 10 || content == 0 { // fewer sightings say nothing
		return
	}
	indexes := indexesOf(pg, table)
	hot := monotonic(indexes)
	share := per(float64(content), float64(total))
	e := evidence.Entity{Resource: strings.TrimSuffix(table+": "+strings.Join(names(hot), ", "), ": ")}
	by := p.callerOf(ones(keys))
	e.Service, e.Operation = by.Service, by.Operation
	report := func(k Kind, v float64, unit, text string) {
		p.Report(Finding{Kind: k, Entity: e, Value: v, Unit: unit, Text: text, Refs: []evidence.Ref{activityRef}})
	}
	p.Report(contentionFinding(p, pg, e, table, share, indexes, keys, waits, total))
	aas := per(float64(content), float64(pg.Ticks))
	report(FindIndexSessions, aas, "{session}", fmt.Sprintf("%.2f sessions on average wait for a buffer of %s", aas, table))
	report(FindIndexMonotonic, float64(len(hot)), "{index}", fmt.Sprintf("%d of its indexes grow at one end: every insert goes to the same leaf page (%s)", len(hot), strings.Join(names(hot), ", ")))
	report(FindIndexCount, float64(len(indexes)), "{index}", fmt.Sprintf("every row inserted into %s maintains %d indexes", table, len(indexes)))
	extend := per(float64(waits["Lock:extend"]), float64(total))
	report(FindExtendWait, extend, "1", fmt.Sprintf("%.0f %% of the writers' time waits to extend the table itself", extend*100))
	wal := per(float64(waits["LWLock:WALWrite"]+waits["IO:WALSync"]+waits["IO:WALWrite"]), float64(total))
	report(FindWALWait, wal, "1", fmt.Sprintf("%.0f %% of the writers' time waits for the write-ahead log", wal*100))
}

func contentionFinding(p *Pass, pg *evidence.Postgres, e evidence.Entity, table string, share float64, indexes []*evidence.PGIndex, keys map[string]bool, waits map[string]int, total int) Finding {
	unread := unreadIndexes(indexes)
	// CPU and WAL upkeep is shared by the heap and each index
	upkeep := per(float64(len(unread)), float64(len(indexes)+1)) * per(float64(waits["CPU"]+waits["LWLock:WALInsert"]), float64(total))
	cut := map[string]float64{}
	for k := range keys {
		cut[k] = clamp01(share + upkeep)
	}
	c := p.charge(cut, clamp01(share+upkeep)*writeMean(pg, keys), "share of the statement's mean time by the server's own account")
	return Finding{Kind: FindIndexContention, Entity: e, Value: share, Unit: "1", Impact: c.impact, Victims: c.victims,
		Text: fmt.Sprintf("statements that write %s spend %.0f %% of their time waiting for buffer content locks (%d sightings)", table, share*100, total),
		Refs: append([]evidence.Ref{activityRef}, c.refs...), Charts: []Chart{p.waitChart(pg)},
		Facts: map[string]string{"table": table, "unread": strings.Join(names(unread), ", "), "monotonic": strings.Join(names(monotonic(indexes)), ", "),
			"count": fmt.Sprint(len(indexes)), "synchronous_commit": pg.Server.Settings["synchronous_commit"]}}
}

// writersOf gives the query ids and statement keys that insert into or copy
// to a table.
func writersOf(pg *evidence.Postgres, table string) (queries, keys map[string]bool) {
	queries, keys = map[string]bool{}, map[string]bool{}
	for i := range pg.Statements {
		s := &pg.Statements[i]
		verb := evidence.SQLVerb(s.Text)
		if (verb == "INSERT" || verb == "COPY") && len(s.Tables) > 0 && slices.Contains(s.Tables, table) {
			keys[s.Key] = true
			if s.QueryID != "" {
				queries[s.QueryID] = true
			}
		}
	}
	return queries, keys
}

func indexesOf(pg *evidence.Postgres, table string) []*evidence.PGIndex {
	var out []*evidence.PGIndex
	for i := range pg.Indexes {
		if pg.Indexes[i].Table == table {
			out = append(out, &pg.Indexes[i])
		}
	}
	return out
}

func monotonic(indexes []*evidence.PGIndex) []*evidence.PGIndex {
	return slices.DeleteFunc(slices.Clone(indexes), func(i *evidence.PGIndex) bool { return !i.Monotonic })
}

// unreadIndexes are those that nothing read in the window and nothing needs
// to hold a constraint.
func unreadIndexes(indexes []*evidence.PGIndex) []*evidence.PGIndex {
	return slices.DeleteFunc(slices.Clone(indexes), func(i *evidence.PGIndex) bool {
		return i.Scans > 0 || i.Unique || i.Primary || i.Constraint
	})
}

func names(indexes []*evidence.PGIndex) []string {
	out := make([]string, len(indexes))
	for i := range indexes {
		out[i] = indexes[i].Name
	}
	return out
}

// writeMean is the longest mean time, in s, of the statements of a set.
func writeMean(pg *evidence.Postgres, keys map[string]bool) float64 {
	longest := 0.0
	for i := range pg.Statements {
		if s := &pg.Statements[i]; keys[s.Key] {
			longest = max(longest, s.Mean())
		}
	}
	return longest
}
