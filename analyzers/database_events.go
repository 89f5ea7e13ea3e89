package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindCheckpoints    Kind = "checkpoint.requested" // checkpoints that came before their time
	FindCheckpointWait Kind = "checkpoint.wait"      // share of the active sessions' time writing pages or making new log files, 0..1
	FindReplicaLag     Kind = "replica.lag"          // s that a standby is behind in replay
	FindReplicaWait    Kind = "replica.wait"         // share of the active sessions' time waiting for a standby, 0..1
	FindDeadlocks      Kind = "deadlocks"            // ended by the server in the window
	FindForeignKeyScan Kind = "foreign-key.scan"     // blocks that one delete from the parent touches
)

// databaseEvents measures what a server does beside the statements: it
// checkpoints, replicates, ends deadlocks and checks foreign keys.
var databaseEvents = Analyzer{
	Name:  "database-events",
	Doc:   "Checkpoints forced by the log's size, standbys that are behind, deadlocks, deletes that read a whole child table; the gain by the waits that each causes.",
	Needs: []evidence.Kind{evidence.PGDatabase},
	Uses:  []evidence.Kind{evidence.PGActivity, evidence.PGStatements, evidence.PGTables, evidence.Spans},
	Finds: []Kind{FindCheckpoints, FindCheckpointWait, FindReplicaLag, FindReplicaWait, FindDeadlocks, FindForeignKeyScan},
	Run:   runDatabaseEvents,
}

func runDatabaseEvents(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if pg.Subset || pg.Database == nil {
			continue
		}
		reportCheckpoints(p, pg)
		reportReplicas(p, pg)
		reportDeadlocks(p, pg)
		reportForeignKeys(p, pg)
	}
	return nil
}

// isCheckpointWait: sessions that have to write pages themselves, or make new
// files for the log because none could be recycled yet. Dirty pages that an
// earlier run left look the same, so that it takes checkpoints in the window.
func isCheckpointWait(w *evidence.WaitSample) bool {
	return slices.Contains([]string{"DataFileWrite", "DataFileSync", "DataFileFlush", "WALInitWrite", "WALInitSync"}, w.Wait)
}

func reportCheckpoints(p *Pass, pg *evidence.Postgres) {
	if pg.Cluster == nil || pg.Cluster.CheckpointsRequested <= pg.Cluster.CheckpointsTimed {
		return
	}
	w := waitingFor(pg, isCheckpointWait)
	list := w.statements()
	c := p.charge(shares(list, 1), longestWait(list), methodSampled)
	e := evidence.Entity{Service: c.caller.Service, Operation: c.caller.Operation, Instance: pg.Server.Name, Resource: pg.Server.Name}
	n, images := pg.Cluster.CheckpointsRequested, per(pg.Cluster.WALFPI, pg.Cluster.WALRecords)
	f := c.finding(FindCheckpoints, e, n, "{checkpoint}",
		fmt.Sprintf("%.0f checkpoints came before their time, %.0f in time; %.0f %% of the log's records carry a whole page", n, pg.Cluster.CheckpointsTimed, images*100),
		serverFacts(pg, map[string]string{"wal_mb": fmt.Sprintf("%.0f", pg.Cluster.WALBytes/1e6), "seconds": fmt.Sprintf("%.0f", accountSeconds(pg))}))
	f.Refs = append([]evidence.Ref{{Source: "postgres", Query: checkpointsQuery(pg)}}, c.refs...)
	p.Report(f)
	p.Report(Finding{Kind: FindCheckpointWait, Entity: e, Value: w.share(), Unit: "1", Refs: []evidence.Ref{activityRef},
		Text: fmt.Sprintf("sessions spent %.0f %% of their time writing pages themselves or making new files for the log", w.share()*100)})
}

// checkpointsQuery counts checkpoints where the server's version does.
func checkpointsQuery(pg *evidence.Postgres) string {
	if pg.Server.Version >= 170000 {
		return "SELECT num_timed, num_requested FROM pg_stat_checkpointer"
	}
	return "SELECT checkpoints_timed, checkpoints_req FROM pg_stat_bgwriter"
}

func reportReplicas(p *Pass, pg *evidence.Postgres) {
	var worst *evidence.PGReplica
	for i := range pg.Replicas {
		if r := &pg.Replicas[i]; worst == nil || r.ReplayLag > worst.ReplayLag {
			worst = r
		}
	}
	if worst == nil {
		return
	}
	w := waitingFor(pg, func(s *evidence.WaitSample) bool { return s.Wait == "SyncRep" })
	c := charge{}
	if pg.Database != nil && w.count >= fewestSightings {
		c = p.chargeCommits(pg, w, w.seconds(w.count)/max(writers(pg), 1))
	}
	e := evidence.Entity{Service: c.caller.Service, Operation: c.caller.Operation, Instance: pg.Server.Name, Resource: cmp.Or(worst.Name, "standby")}
	p.Report(c.finding(FindReplicaLag, e, worst.ReplayLag, "s", fmt.Sprintf("standby %s (%s, %s) is %.1f s and %.0f MB behind", worst.Name, worst.State, worst.Sync, worst.ReplayLag, worst.ReplayLeft/1e6),
		serverFacts(pg, map[string]string{"standby": worst.Name, "sync": worst.Sync})))
	p.Report(Finding{Kind: FindReplicaWait, Entity: e, Value: w.share(), Unit: "1", Refs: []evidence.Ref{activityRef},
		Text: fmt.Sprintf("sessions spent %.0f %% of their time waiting for a standby", w.share()*100)})
}

// reportDeadlocks charges its part of the lock waits: both sides wait
// deadlock_timeout before the server ends one of them.
func reportDeadlocks(p *Pass, pg *evidence.Postgres) {
	if pg.Database.Deadlocks == 0 {
		return
	}
	w := waitingFor(pg, func(s *evidence.WaitSample) bool { return isRowLock(s) || isRelationLock(s) })
	list := w.statements()
	part := clamp01(per(2*deadlockTimeout(pg)*pg.Database.Deadlocks, w.seconds(w.count)))
	c := p.charge(shares(list, part), part*longestWait(list), methodSampled)
	var tables []string
	for _, s := range list {
		tables = append(tables, s.Tables...)
	}
	slices.Sort(tables)
	facts := serverFacts(pg, map[string]string{"tables": strings.Join(slices.Compact(tables), ", ")})
	e := evidence.Entity{Service: c.caller.Service, Operation: c.caller.Operation, Instance: pg.Server.Name, Resource: pg.Server.Name}
	f := c.finding(FindDeadlocks, e, pg.Database.Deadlocks, "{deadlock}", fmt.Sprintf("the server ended %.0f deadlocks, each after %s", pg.Database.Deadlocks, setting(pg, "deadlock_timeout")), facts)
	f.Refs = append([]evidence.Ref{{Source: "postgres", Query: "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"}}, c.refs...)
	p.Report(f)
}

// deadlockTimeout in s; PostgreSQL's default where it is not known.
func deadlockTimeout(pg *evidence.Postgres) float64 {
	d, err := time.ParseDuration(strings.Replace(pg.Server.Settings["deadlock_timeout"], "min", "m", 1))
	if err != nil {
		return 1
	}
	return d.Seconds()
}

// reportForeignKeys finds keys without an index on the referencing side whose
// parent lost rows in the window: each delete reads the whole child.
func reportForeignKeys(p *Pass, pg *evidence.Postgres) {
	for i := range pg.Unindexed {
		k := &pg.Unindexed[i]
		parent, child := tableOf(pg, k.Parent), tableOf(pg, k.Table)
		if parent == nil || child == nil || parent.Deleted < fewestSightings || child.SeqScan < 0.5*parent.Deleted {
			continue
		}
		cut, saved, blocks := map[string]float64{}, 0.0, 0.0
		for n := range pg.Statements {
			s := &pg.Statements[n]
			if evidence.SQLVerb(s.Text) != "DELETE" || !slices.Contains(s.Tables, k.Parent) || s.BlocksPerCall() < scanMinBlocks {
				continue
			}
			blocks = max(blocks, s.BlocksPerCall())
			cut[s.Key] = 1 - min(1, 20/s.BlocksPerCall())
			saved = max(saved, s.Mean()*cut[s.Key])
		}
		if blocks == 0 {
			continue
		}
		c := p.charge(cut, saved, "mean time of the delete by the server's own account")
		columns := strings.Join(k.Columns, ", ")
		p.Report(c.finding(FindForeignKeyScan, c.about(pg, k.Table+"("+columns+")"), blocks, "{block}",
			fmt.Sprintf("each delete from %s looks for rows of %s that refer to it and finds no index on (%s): %.0f blocks a call", k.Parent, k.Table, columns, blocks),
			serverFacts(pg, map[string]string{"table": k.Table, "columns": columns, "parent": k.Parent, "key": k.Name, "blocks": fmt.Sprintf("%.0f", blocks)})))
	}
}

func tableOf(pg *evidence.Postgres, name string) *evidence.PGTable {
	for i := range pg.Tables {
		if pg.Tables[i].Name == name {
			return &pg.Tables[i]
		}
	}
	return nil
}
