package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

type databaseRow = evidence.PGDatabaseRow

var databaseFields = []field[databaseRow]{
	count(func(d *databaseRow) *float64 { return &d.Commits }, "xact_commit"),
	count(func(d *databaseRow) *float64 { return &d.Rollbacks }, "xact_rollback"),
	count(func(d *databaseRow) *float64 { return &d.Hit }, "blks_hit"),
	count(func(d *databaseRow) *float64 { return &d.Read }, "blks_read"),
	timer(func(d *databaseRow) *float64 { return &d.ReadTime }, "blk_read_time"),
	count(func(d *databaseRow) *float64 { return &d.TempFiles }, "temp_files"),
	count(func(d *databaseRow) *float64 { return &d.TempBytes }, "temp_bytes"),
	count(func(d *databaseRow) *float64 { return &d.Deadlocks }, "deadlocks"),
	timer(func(d *databaseRow) *float64 { return &d.ActiveTime }, "active_time"),
	timer(func(d *databaseRow) *float64 { return &d.IdleInTx }, "idle_in_transaction_time"),
	count(func(d *databaseRow) *float64 { return &d.Sessions }, "sessions"),
	level(func(d *databaseRow) *float64 { return &d.Backends }, "numbackends"),
	count(func(d *databaseRow) *float64 { return &d.TuplesRead }, "tup_returned"),
}

// walFields count flushes of the write-ahead log over the whole cluster. 18
// moved them from pg_stat_wal to pg_stat_io.
var walFields = []field[databaseRow]{
	count(func(d *databaseRow) *float64 { return &d.WALSyncs }, "wal_sync", "fsyncs"),
	timer(func(d *databaseRow) *float64 { return &d.WALSyncTime }, "wal_sync_time", "fsync_time"),
}

func readDatabase(ctx context.Context, s *session, c *capabilities) (values, error) {
	return oneRow(ctx, s, fmt.Sprintf(`select /* culprit */ %s from %s v where datname = current_database()`,
		array(databaseFields, c.views[viewDatabase]), viewDatabase))
}

// readWAL gives zeros where the server counts no flushes (before 14).
func readWAL(ctx context.Context, s *session, c *capabilities) (values, error) {
	switch {
	case c.views[viewWAL]["wal_sync"]:
		return oneRow(ctx, s, fmt.Sprintf(`select /* culprit */ %s from %s v`, array(walFields, c.views[viewWAL]), viewWAL))
	case c.views[viewIO]["fsync_time"]:
		return oneRow(ctx, s, fmt.Sprintf(`select /* culprit */ %s from (select sum(fsyncs) as fsyncs, sum(fsync_time) as fsync_time from %s where object = 'wal') v`,
			array(walFields, c.views[viewIO]), viewIO))
	}
	return make(values, len(walFields)), nil
}

// readTraffic counts the transactions of every database, to notice that the
// load goes to another one than we are connected to.
func readTraffic(ctx context.Context, s *session) (map[string]float64, error) {
	type traffic struct {
		Name         string
		Transactions float64
	}
	found, err := rows(ctx, s, pgx.RowToStructByPos[traffic], `select /* culprit */ datname::text, (xact_commit + xact_rollback)::float8 from `+viewDatabase+` where datname is not null`)
	out := make(map[string]float64, len(found))
	for _, f := range found {
		out[f.Name] = f.Transactions
	}
	return out, err
}

// busier is the database with most transactions between two snapshots where
// that has many times those of our own, ours left out.
func busier(before, after *snapshot, own string, ours float64) (name string, times float64) {
	gained := func(db string) float64 { return after.traffic[db] - before.traffic[db] }
	for _, db := range slices.Sorted(maps.Keys(after.traffic)) {
		if db != own && gained(db) > gained(name) {
			name = db
		}
	}
	times = gained(name) / max(gained(own)-ours, 1)
	if gained(name) < 100 || times < 10 {
		return "", 0
	}
	return name, times
}

func oneRow(ctx context.Context, s *session, sql string, args ...any) (values, error) {
	found, err := rows(ctx, s, pgx.RowTo[values], sql, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
