package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// snapshot is one reading of the server's cumulative statistics.
type snapshot struct {
	caps       *capabilities
	at         time.Time // our clock
	resets     resets
	statements map[statementKey]statementRow // nil where they could not be read
	hidden     int                           // entries that this role may not identify
	database   values
	wal        values
	cluster    clusterRow
	traffic    map[string]float64 // transactions by database
	tables     map[uint32]relationRow
	indexes    map[uint32]relationRow
	requests   int // of our own connection, until the database was read
	failures   []failure
}

// failure of one part of a snapshot; the other parts stand.
type failure struct {
	kinds []evidence.Kind
	doing string
	err   error
}

// resets tell whether two snapshots can be subtracted. Times are of the
// server's clock; nil where the server never says.
type resets struct {
	Database   *time.Time
	Statements *time.Time // extension 1.9+
	Shared     *time.Time // of the background writer's counters; a crash sets it too
	Evictions  float64    // rounds of evicting least used entries
}

// takeSnapshot reads everything at once.
func takeSnapshot(ctx context.Context, s *session) (*snapshot, error) {
	snap, err := beginSnapshot(ctx, s)
	if err != nil {
		return nil, err
	}
	return snap, snap.complete(ctx, s)
}

// beginSnapshot reads the statements, which are never late.
func beginSnapshot(ctx context.Context, s *session) (*snapshot, error) {
	caps, err := probe(ctx, s)
	if err != nil {
		return nil, err
	}
	snap := &snapshot{caps: caps, at: caps.asked}
	snap.part("read reset times", []evidence.Kind{evidence.PGStatements}, func() error { return snap.readResets(ctx, s) })
	if caps.Statements != "" {
		snap.part("read pg_stat_statements", []evidence.Kind{evidence.PGStatements}, func() (err error) {
			snap.statements, snap.hidden, err = readStatements(ctx, s, caps)
			return err
		})
	}
	return snap, nil
}

// complete reads the counters that sessions flush late. It fails only where
// the context ended.
func (snap *snapshot) complete(ctx context.Context, s *session) error {
	snap.part("read pg_stat_database", []evidence.Kind{evidence.PGDatabase}, func() (err error) {
		snap.requests = s.requests
		snap.database, err = readDatabase(ctx, s, snap.caps)
		return err
	})
	snap.part("read the log's flushes", []evidence.Kind{evidence.PGDatabase}, func() (err error) {
		snap.wal, err = readWAL(ctx, s, snap.caps)
		return err
	})
	snap.part("read the databases' traffic", []evidence.Kind{evidence.PGDatabase}, func() (err error) {
		snap.traffic, err = readTraffic(ctx, s)
		return err
	})
	snap.part("read checkpoints and the log", []evidence.Kind{evidence.PGDatabase}, func() (err error) {
		snap.cluster, err = readCluster(ctx, s, snap.caps)
		return err
	})
	snap.part("read tables", []evidence.Kind{evidence.PGTables}, func() (err error) {
		snap.tables, err = readTables(ctx, s, snap.caps)
		return err
	})
	snap.part("read indexes", []evidence.Kind{evidence.PGIndexes}, func() (err error) {
		snap.indexes, err = readIndexes(ctx, s, snap.caps)
		return err
	})
	return ctx.Err()
}

func (snap *snapshot) part(doing string, kinds []evidence.Kind, read func() error) {
	if err := read(); err != nil {
		snap.failures = append(snap.failures, failure{kinds: kinds, doing: doing, err: err})
	}
}

func (snap *snapshot) readResets(ctx context.Context, s *session) error {
	sql := `select /* culprit */ stats_reset, null::timestamptz, (select stats_reset from pg_catalog.pg_stat_bgwriter), 0::float8 from ` + viewDatabase + ` where datname = current_database()`
	if snap.caps.views[snap.caps.infoView()]["stats_reset"] {
		sql = `select /* culprit */ d.stats_reset, i.stats_reset, (select stats_reset from pg_catalog.pg_stat_bgwriter), i.dealloc::float8 from ` + viewDatabase + ` d, ` + snap.caps.infoView() + ` i where d.datname = current_database()`
	}
	found, err := rows(ctx, s, pgx.RowToStructByPos[resets], sql)
	if err == nil && len(found) > 0 {
		snap.resets = found[0]
	}
	return err
}

// since is when the counters of a single snapshot began, by the server's clock:
// the youngest of what is known. The statistics survive a clean restart, so the
// postmaster's start is only the answer where no reset was ever recorded.
func (snap *snapshot) since() time.Time {
	var t time.Time
	for _, r := range []*time.Time{snap.resets.Database, snap.resets.Statements} {
		if r != nil && r.After(t) {
			t = *r
		}
	}
	if t.IsZero() {
		t = snap.caps.Started
	}
	return t
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}
