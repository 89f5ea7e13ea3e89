package analyzers

import (
	"fmt"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindDBActive     Kind = "db.active"      // average active sessions, sampled
	FindDBCPU        Kind = "db.cpu"         // average active sessions on CPU or runnable
	FindDBCommitWait Kind = "db.commit.wait" // average active sessions waiting for WAL
	FindDBExecShare  Kind = "db.exec.share"  // executor time / active time, 0..1
)

// databaseClocks reconciles the three clocks of a PostgreSQL server: sampled
// sessions, exact active time, executor time. Method and thresholds: measured
// on PostgreSQL 15; pg_stat_statements sees no commit, active_time no
// bind-time lock.
var databaseClocks = Analyzer{
	Name:  "database-clocks",
	Doc:   "Average active sessions of a PostgreSQL server, by what they did, and how much of it the executor accounts for.",
	Needs: []evidence.Kind{evidence.PGActivity},
	Uses:  []evidence.Kind{evidence.PGDatabase, evidence.PGStatements},
	Finds: []Kind{FindDBActive, FindDBCPU, FindDBCommitWait, FindDBExecShare},
	Run:   runDatabaseClocks,
}

func runDatabaseClocks(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if pg.Ticks == 0 {
			continue
		}
		e := evidence.Entity{Resource: pg.Server.Name}
		total := activeSessions(pg, isActive)
		p.Report(Finding{Kind: FindDBActive, Entity: e, Value: total, Unit: "{session}",
			Text: fmt.Sprintf("%.2f sessions of %s were active on average (%d samples)", total, pg.Server.Name, pg.Ticks),
			Refs: []evidence.Ref{activityRef}, Charts: []Chart{p.waitChart(pg)}})
		cpu := activeSessions(pg, func(w *evidence.WaitSample) bool { return isActive(w) && w.WaitType == "" })
		p.Report(Finding{Kind: FindDBCPU, Entity: e, Value: cpu, Unit: "{session}", Refs: []evidence.Ref{activityRef},
			Text: fmt.Sprintf("%.2f sessions of %s were on CPU or ready to run", cpu, pg.Server.Name)})
		commit := activeSessions(pg, func(w *evidence.WaitSample) bool { return isActive(w) && isCommitWait(w) })
		p.Report(Finding{Kind: FindDBCommitWait, Entity: e, Value: commit, Unit: "{session}", Refs: []evidence.Ref{activityRef},
			Text: fmt.Sprintf("%.2f sessions of %s waited for the write-ahead log", commit, pg.Server.Name)})
		reportExecShare(p, pg, e)
	}
	return nil
}

// reportExecShare compares the executor's time with the sessions' active
// time; below one active session on average the ratio is noise.
func reportExecShare(p *Pass, pg *evidence.Postgres, e evidence.Entity) {
	if pg.Database == nil || pg.Subset || pg.Database.ActiveTime <= 0 {
		return
	}
	exec := 0.0
	for i := range pg.Statements {
		if pg.Statements[i].TopLevel {
			exec += pg.Statements[i].Exec
		}
	}
	share := per(exec, pg.Database.ActiveTime)
	p.Report(Finding{Kind: FindDBExecShare, Entity: e, Value: share, Unit: "1",
		Text: fmt.Sprintf("the executor accounts for %.0f %% of the %.1f s that sessions of %s were active", share*100, pg.Database.ActiveTime, pg.Server.Name)})
}

var activityRef = evidence.Ref{Source: "postgres", Query: "SELECT state, wait_event_type, wait_event, query_id, count(*) FROM pg_stat_activity WHERE state <> 'idle' GROUP BY 1, 2, 3, 4"}

// isActive leaves out sessions that are in mid-protocol or asleep.
func isActive(w *evidence.WaitSample) bool {
	return w.State == "active" && w.WaitType != "Client" && w.WaitType != "Activity" && w.WaitType != "Timeout"
}

func isCommitWait(w *evidence.WaitSample) bool {
	return w.Wait == "WALWrite" || w.Wait == "WALSync" || w.Wait == "SyncRep"
}

// activeSessions is the average number of sessions over the ticks that match.
func activeSessions(pg *evidence.Postgres, match func(*evidence.WaitSample) bool) float64 {
	n := 0
	for i := range pg.Activity {
		if match(&pg.Activity[i]) {
			n += pg.Activity[i].Sessions
		}
	}
	return per(float64(n), float64(pg.Ticks))
}

// waitChart draws active sessions by what they waited for, over time.
func (p *Pass) waitChart(pg *evidence.Postgres) Chart {
	c := Chart{Title: "Active sessions by wait", Unit: "{session}", Stacked: true}
	if cores := p.databaseCores(); cores > 0 { // above it sessions on CPU queue
		c.Limit, c.LimitName = cores, "cores"
	}
	times, ticks := activityTimes(pg)
	for _, name := range topWaits(pg, 5) {
		l := Line{Name: name, Times: times, Values: make([]float64, len(times))}
		at := map[int64]int{}
		for i, t := range times {
			at[t] = i
		}
		for i := range pg.Activity {
			if w := &pg.Activity[i]; isActive(w) && waitName(w) == name {
				l.Values[at[w.At]] += per(float64(w.Sessions), float64(ticks[at[w.At]]))
			}
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

func waitName(w *evidence.WaitSample) string {
	if w.WaitType == "" {
		return "CPU"
	}
	return strings.TrimSuffix(w.WaitType+":"+w.Wait, ":")
}
