package postgres

import (
	"context"
	"maps"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

var (
	plainIdentifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	reserved        = map[string]bool{"user": true, "all": true, "table": true, "order": true, "group": true, "default": true, "end": true, "select": true}
)

// addShapes tells what the tables and indexes are.
func (a *account) addShapes(ctx context.Context, s *session, c *capabilities) {
	tables, exactT, err := orInexact(func(exact bool) ([]tableShape, error) {
		return readTableShapes(ctx, s, slices.Sorted(maps.Keys(a.tables)), exact)
	})
	a.shapesFailed(s, c, evidence.PGTables, "read the tables' sizes", err)
	for _, shape := range tables {
		t := &a.pg.Tables[a.tables[shape.OID]]
		t.RelTuples, t.Bytes, t.VacuumAt, t.XIDAge = max(shape.RelTuples, 0), shape.Bytes, shape.VacuumAt, shape.XIDAge
		t.FillFactor, t.Root = shape.Fill, shape.Root
	}
	indexes, exactI, err := orInexact(func(exact bool) ([]indexShape, error) {
		return readIndexShapes(ctx, s, slices.Sorted(maps.Keys(a.indexes)), exact)
	})
	a.shapesFailed(s, c, evidence.PGIndexes, "read the indexes' columns", err)
	for _, shape := range indexes {
		i := &a.pg.Indexes[a.indexes[shape.OID]]
		i.Columns, i.Method, i.Unique, i.Primary, i.Valid = shape.Columns, shape.Method, shape.Unique, shape.Primary, shape.Valid
		i.Follows = shape.Follows
		i.Constraint, i.Partial, i.Monotonic, i.Bytes = shape.Constraint, shape.Partial, shape.Monotonic, shape.Bytes
	}
	redundant, err := readCovered(ctx, s, slices.Sorted(maps.Keys(a.indexes)))
	a.shapesFailed(s, c, evidence.PGIndexes, "compare the indexes", err)
	for _, x := range redundant {
		a.pg.Indexes[a.indexes[x.OID]].CoveredBy = x.By
	}
	if !exactT || !exactI {
		a.note("sizes are as of the last vacuum or analyze, because a lock was in the way")
	}
}

// addHousekeeping looks for what is wrong with the schema or its surroundings,
// whatever the window showed.
func (a *account) addHousekeeping(ctx context.Context, s *session, c *capabilities) {
	var err error
	a.pg.Unindexed, err = readUnindexed(ctx, s)
	a.shapesFailed(s, c, evidence.PGTables, "look for foreign keys without an index", err)
	a.pg.Sequences, err = readSequences(ctx, s)
	a.shapesFailed(s, c, evidence.PGTables, "look for sequences that run out", err)
	a.pg.Replicas, err = readReplicas(ctx, s)
	a.shapesFailed(s, c, evidence.PGDatabase, "read the standbys' lag", err)
	a.pg.Partitions, err = readPartitioned(ctx, s)
	a.shapesFailed(s, c, evidence.PGTables, "look for partitioned tables", err)
	a.addUnpruned()
}

func (a *account) shapesFailed(s *session, c *capabilities, kind evidence.Kind, doing string, err error) {
	if err != nil {
		a.failed = true
		a.gap(failureGap(failure{[]evidence.Kind{kind}, doing, s.plain(err)}, c))
	}
}

// settingsKept are those that a detection or a remedy speaks of.
var settingsKept = []string{
	"autovacuum", "autovacuum_vacuum_scale_factor", "autovacuum_vacuum_threshold", "block_size", "checkpoint_timeout", "commit_delay", "compute_query_id",
	"deadlock_timeout", "default_transaction_isolation", "effective_cache_size", "effective_io_concurrency", "fsync", "full_page_writes", "hash_mem_multiplier",
	"idle_in_transaction_session_timeout", "jit", "jit_above_cost", "lock_timeout", "log_lock_waits", "maintenance_work_mem", "max_connections", "max_locks_per_transaction",
	"max_parallel_workers", "max_parallel_workers_per_gather", "max_wal_size", "max_worker_processes", "pg_stat_statements.max", "pg_stat_statements.track", "pg_stat_statements.track_planning",
	"plan_cache_mode", "random_page_cost", "reserved_connections", "seq_page_cost", "shared_buffers", "statement_timeout", "superuser_reserved_connections",
	"synchronous_commit", "synchronous_standby_names", "track_activity_query_size", "track_io_timing", "track_wal_io_timing", "wal_buffers", "wal_level", "wal_sync_method", "work_mem",
}

// settingsSQL shows values with their units. Our own session's limits would
// hide the server's: reset_val is what a session starts with, but ours came
// with the start-up packet, so those are asked of the files' value instead.
const settingsSQL = `select /* culprit */ name, current_setting(name) from pg_catalog.pg_settings where name = any($1::text[]) and source <> 'client'`

func (a *account) addSettings(ctx context.Context, s *session) {
	type setting struct{ Name, Value string }
	found, err := rows(ctx, s, pgx.RowToStructByPos[setting], settingsSQL, settingsKept)
	if err != nil {
		a.failed = true
		a.gap(evidence.Gap{Kinds: []evidence.Kind{evidence.PGSettings}, Reason: "read settings: " + s.plain(err).Error(), Remedy: "see the server's log"})
		return
	}
	a.pg.Server.Settings = make(map[string]string, len(found))
	for _, f := range found {
		a.pg.Server.Settings[f.Name] = f.Value
	}
}
