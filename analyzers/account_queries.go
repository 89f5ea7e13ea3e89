package analyzers

import "github.com/culprit-rca/culprit/collectors/evidence"

// accounts are the queries that show again what a finding on a server says, for
// a reader with psql, where that is not what the sessions are at.
var accounts = map[Kind]string{
	FindChurn:          "SELECT sessions, xact_commit + xact_rollback AS transactions FROM pg_stat_database WHERE datname = current_database()",
	FindDeadlocks:      "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
	FindReplicaLag:     "SELECT application_name, state, sync_state, replay_lag, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) AS bytes FROM pg_stat_replication",
	FindForeignKeyScan: "SELECT conrelid::regclass AS child, confrelid::regclass AS parent, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'",
	FindIndexUpkeep:    "SELECT relname, indexrelname, idx_scan, pg_relation_size(indexrelid) AS bytes FROM pg_stat_user_indexes ORDER BY relname, idx_scan",
	FindHotLost:        "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables ORDER BY n_tup_upd DESC",
	FindStaleStats: "SELECT s.relname, c.reltuples AS planner, s.n_live_tup AS there, s.n_mod_since_analyze AS changed, s.last_analyze, s.last_autoanalyze " +
		"FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid ORDER BY s.n_mod_since_analyze DESC",
	FindStatementFanout: "SELECT calls, rows, query FROM pg_stat_statements ORDER BY calls DESC LIMIT 20",
	FindVacuumBlocked:   "SELECT pid, application_name, state, xact_start, age(backend_xmin), query FROM pg_stat_activity WHERE backend_xmin IS NOT NULL ORDER BY age(backend_xmin) DESC",
	FindIdleTxBlocking:  "SELECT pid, application_name, now() - xact_start AS open, now() - state_change AS idle, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' ORDER BY xact_start",
	FindLockQueue:       blockingRef.Query,
}

// accountRef is the query that shows a kind of finding again.
func accountRef(k Kind) evidence.Ref {
	if query := accounts[k]; query != "" {
		return evidence.Ref{Source: "postgres", Query: query}
	}
	return activityRef
}
