package postgres

import (
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// judge decides whether the second snapshot may be subtracted from the first
// one, and tells what is lost where it may not. It gives the first snapshot
// with the parts taken out that no longer count, or nil.
func (a *account) judge(before, after *snapshot) *snapshot {
	if before == nil {
		a.note("one snapshot only, taken after the window: counters count since %s, so shares and ratios a call speak for more than the window and rates are not known; start the load with `culprit run` to have both", rfc(after.since()))
		a.gap(evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGActivity, evidence.PGBlocking},
			Reason: "sessions were not sampled during the window, so waits, commit time and lock queues cannot be seen",
			Remedy: "start the load with `culprit run ... -- COMMAND`, which samples while it runs",
		})
		return nil
	}
	if !before.caps.Started.Equal(after.caps.Started) {
		a.gap(evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGStatements, evidence.PGDatabase, evidence.PGTables, evidence.PGIndexes},
			Reason: "the server was restarted at " + rfc(after.caps.Started) + ", after the first snapshot: counters that went back count since then",
			Remedy: "find out why it restarted, and repeat the run",
		})
	}
	kept := *before
	reset := false
	if !sameTime(before.resets.Statements, after.resets.Statements) || lostEntries(before, after) {
		kept.statements, reset = nil, true
		a.gap(evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGStatements},
			Reason: "pg_stat_statements was reset" + at(after.resets.Statements) + ", after the first snapshot: what ran before is lost",
			Remedy: "find out who calls pg_stat_statements_reset(), and repeat the run",
		})
	}
	if !sameTime(before.resets.Database, after.resets.Database) || discarded(before, after) {
		kept.database, kept.tables, kept.indexes, reset = nil, nil, nil, true
		a.gap(evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGDatabase, evidence.PGTables, evidence.PGIndexes},
			Reason: "the database's statistics were reset or discarded" + at(after.resets.Database) + ", after the first snapshot: what happened before is lost",
			Remedy: "find out who calls pg_stat_reset(), or what crashed the server, and repeat the run",
		})
	}
	if n := after.resets.Evictions - before.resets.Evictions; n > 0 && !reset {
		a.gap(evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGStatements},
			Reason: fmt.Sprintf("pg_stat_statements was full and evicted its least used entries %.0f times during the run: totals are lower bounds", n),
			Remedy: "raise pg_stat_statements.max (restart), or send parameters instead of literals so that statements share an entry",
		})
	}
	return &kept
}

// discarded notices statistics that recovery from a crash threw away. The
// server records that only as a reset of the counters that are not of one
// database.
func discarded(before, after *snapshot) bool {
	restarted := !before.caps.Started.Equal(after.caps.Started)
	return restarted && !sameTime(before.resets.Shared, after.resets.Shared) ||
		before.database != nil && after.database != nil && wentBack(databaseFields, before.database, after.database)
}

func wrongDatabase(own, busy string, times float64) evidence.Gap {
	return evidence.Gap{
		Source: source,
		Kinds:  []evidence.Kind{evidence.PGStatements, evidence.PGActivity, evidence.PGTables, evidence.PGIndexes},
		Reason: fmt.Sprintf("database %s had %.0f times the transactions of %s: the load may go there", busy, times, own),
		Remedy: "name that database in the DSN",
	}
}

// lostEntries notices a reset of pg_stat_statements where the extension does
// not record it (before 1.9): all that was there has gone or begun again.
func lostEntries(before, after *snapshot) bool {
	if after.resets.Statements != nil || len(before.statements) == 0 || after.statements == nil {
		return false
	}
	for key, b := range before.statements {
		if row, ok := after.statements[key]; ok && !wentBack(statementFields, b.Values, row.Values) {
			return false
		}
	}
	return true
}

func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func at(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " at " + rfc(*t)
}

// capabilityGaps are what this server and role hide, each with the SQL that
// would show it.
func capabilityGaps(s *snapshot) (gaps []evidence.Gap) {
	c := s.caps
	if c.Statements == "" {
		gaps = append(gaps, noExtension(c))
	}
	if s.hidden > 0 {
		gaps = append(gaps, evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGStatements},
			Reason: fmt.Sprintf("%d statements of other roles are hidden from role %s", s.hidden, c.Role),
			Remedy: grant("pg_monitor", c),
		})
	}
	if !c.ReadStats {
		gaps = append(gaps, evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGActivity, evidence.PGBlocking},
			Reason: fmt.Sprintf("sessions of other roles are hidden from role %s", c.Role),
			Remedy: grant("pg_monitor", c),
		})
	}
	if !c.hasQueryID() && c.Statements != "" {
		gaps = append(gaps, evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGActivity},
			Reason: "this version does not show which statement a session runs: waits cannot be attributed",
			Remedy: "upgrade to PostgreSQL 14 or later",
		})
	}
	if !c.Counts {
		gaps = append(gaps, evidence.Gap{
			Kinds:  []evidence.Kind{evidence.PGTables, evidence.PGIndexes},
			Reason: "track_counts is off: tables and indexes are not counted",
			Remedy: "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();",
		})
	}
	if !c.IOTiming {
		gaps = append(gaps, evidence.Gap{
			Kinds:  []evidence.Kind{}, // each is there, but for a few of its columns
			Reason: "track_io_timing is off: how long reads and writes take is not known, how many there are is",
			Remedy: "ALTER SYSTEM SET track_io_timing = on; SELECT pg_reload_conf();",
		})
	}
	for i := range gaps {
		gaps[i].Source = source
	}
	return gaps
}

func noExtension(c *capabilities) evidence.Gap {
	return evidence.Gap{
		Kinds:  []evidence.Kind{evidence.PGStatements, evidence.PGIndexAdvice},
		Reason: "the extension pg_stat_statements is not installed in this database",
		Remedy: "set shared_preload_libraries = 'pg_stat_statements' (with what is there already), restart, and run in this database: CREATE EXTENSION pg_stat_statements;",
	}
}

func grant(role string, c *capabilities) string {
	return fmt.Sprintf("GRANT %s TO %s;", role, identifier(c.Role))
}

// lostTexts are those that the server keeps in a file of their own, which can
// be lost or unreadable without it.
func lostTexts(missing, all int) evidence.Gap {
	return evidence.Gap{
		Kinds:  []evidence.Kind{evidence.PGStatements, evidence.PGIndexAdvice},
		Reason: fmt.Sprintf("%d of %d statements have no text on the server: they cannot be joined to traces or advised on", missing, all),
		Remedy: "have a superuser begin anew, and repeat the run: SELECT pg_stat_statements_reset();",
	}
}

// identifier quotes a name for SQL only where it must be.
func identifier(name string) string {
	if plainIdentifier.MatchString(name) && !reserved[name] {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

// capabilityNotes are what limits the evidence without hiding it.
func capabilityNotes(s *snapshot) (notes []string) {
	c := s.caps
	if c.Standby {
		notes = append(notes, "the server is a standby: it has its own statistics, and nothing of the primary's; where the load writes, name the primary in the DSN, which answers SELECT pg_is_in_recovery() with false")
	}
	if c.Statements != "" && len(s.statements) >= maxStatements {
		notes = append(notes, fmt.Sprintf("only the %d statements with most time were read", maxStatements))
	}
	if skew := c.skew(); math.Abs(skew.Seconds()) > 1 {
		notes = append(notes, fmt.Sprintf("the server's clock differs from this machine's by %.1f s", skew.Seconds()))
	}
	if !c.ReadData {
		notes = append(notes, fmt.Sprintf("role %s may not read every table, so plans and column statistics are partly hidden; %s", c.Role, dataGrant(c)))
	}
	return notes
}

func dataGrant(c *capabilities) string {
	if c.DataRole {
		return grant("pg_read_all_data", c)
	}
	return fmt.Sprintf("GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s;", identifier(c.Role))
}

// failureGap is one part that the server would not give.
func failureGap(f failure, c *capabilities) evidence.Gap {
	g := evidence.Gap{Kinds: f.kinds, Reason: f.doing + ": " + f.err.Error(), Remedy: "see the server's log"}
	switch code(f.err) {
	case codeNotPreloaded:
		g = noExtension(c)
		g.Reason = "the extension pg_stat_statements is created but its library is not loaded"
	case codePrivilege:
		g.Remedy = grant("pg_monitor", c)
	case codeLockTimeout:
		g.Remedy = "repeat when no DDL holds its locks"
	case "57014":
		g.Remedy = "raise the timeout; the server took too long to answer"
	}
	return g
}
