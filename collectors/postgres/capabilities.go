package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// capabilities are what this server and this role allow.
type capabilities struct {
	Version     int    // server_version_num
	VersionText string // as the server spells it
	Role        string
	Standby     bool
	Statements  string    // version of pg_stat_statements, "" where it is not in this database
	Schema      string    // of pg_stat_statements
	HypoPG      string    // schema of hypopg, "" where it is absent
	ReadStats   bool      // sees other roles' sessions and statements
	ReadData    bool      // may read every table: plans and column statistics
	IOTiming    bool      // track_io_timing
	Counts      bool      // track_counts
	Started     time.Time // of the postmaster
	Now         time.Time // the server's clock
	DataRole    bool      // pg_read_all_data exists (14+)
	Preloaded   string    // shared_preload_libraries; "" where hidden
	TLS         bool

	views map[string]columns
	asked time.Time // our clock, when Now was read
}

const capabilitiesSQL = `select /* culprit */ current_setting('server_version_num')::int, current_setting('server_version'), current_user::text, pg_is_in_recovery(),
 coalesce((select extversion from pg_catalog.pg_extension where extname = 'pg_stat_statements'), ''),
 coalesce((select n.nspname::text from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where extname = 'pg_stat_statements'), ''),
 coalesce((select n.nspname::text from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where extname = 'hypopg'), ''),
 exists(select from pg_catalog.pg_roles where rolname = 'pg_read_all_stats' and pg_has_role(oid, 'usage')),
 exists(select from pg_catalog.pg_roles where rolname = 'pg_read_all_data' and pg_has_role(oid, 'usage')) or (select rolsuper from pg_catalog.pg_roles where rolname = current_user),
 current_setting('track_io_timing')::bool, current_setting('track_counts')::bool,
 pg_postmaster_start_time(), clock_timestamp(),
 exists(select from pg_catalog.pg_roles where rolname = 'pg_read_all_data'),
 coalesce((select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries'), ''),
 coalesce((select ssl from pg_catalog.pg_stat_ssl where pid = pg_backend_pid()), false)`

// columnsSQL gives the columns of views; one that does not exist has none.
const columnsSQL = `select /* culprit */ v.name, a.attname::text from unnest($1::text[]) v(name)
 join pg_catalog.pg_attribute a on a.attrelid = to_regclass(v.name) and a.attnum > 0 and not a.attisdropped`

const (
	viewActivity = "pg_catalog.pg_stat_activity"
	viewDatabase = "pg_catalog.pg_stat_database"
	viewWAL      = "pg_catalog.pg_stat_wal"
	viewIO       = "pg_catalog.pg_stat_io"
	viewTables   = "pg_catalog.pg_stat_user_tables"
	viewIndexes  = "pg_catalog.pg_stat_user_indexes"
	viewLocks    = "pg_catalog.pg_locks"

	viewWriter       = "pg_catalog.pg_stat_bgwriter"
	viewCheckpointer = "pg_catalog.pg_stat_checkpointer"
)

// probe asks what there is, from the catalogue and never from the version.
func probe(ctx context.Context, s *session) (*capabilities, error) {
	before := time.Now()
	found, err := rows(ctx, s, scanCapabilities, capabilitiesSQL)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, errors.New("the server's description of itself is empty")
	}
	c := &found[0]
	c.asked = before.Add(time.Since(before) / 2)
	views := []string{viewActivity, viewDatabase, viewWAL, viewIO, viewTables, viewIndexes, viewLocks, viewWriter, viewCheckpointer}
	if c.Statements != "" {
		views = append(views, c.statementsView(), c.infoView())
	}
	c.views, err = probeColumns(ctx, s, views)
	return c, err
}

func scanCapabilities(row pgx.CollectableRow) (c capabilities, err error) {
	err = row.Scan(&c.Version, &c.VersionText, &c.Role, &c.Standby, &c.Statements, &c.Schema, &c.HypoPG, &c.ReadStats, &c.ReadData,
		&c.IOTiming, &c.Counts, &c.Started, &c.Now, &c.DataRole, &c.Preloaded, &c.TLS)
	return c, err
}

func probeColumns(ctx context.Context, s *session, views []string) (map[string]columns, error) {
	type column struct{ View, Name string }
	found, err := rows(ctx, s, pgx.RowToStructByPos[column], columnsSQL, views)
	if err != nil {
		return nil, err
	}
	out := make(map[string]columns, len(views))
	for _, f := range found {
		if out[f.View] == nil {
			out[f.View] = columns{}
		}
		out[f.View][f.Name] = true
	}
	return out, nil
}

// statementsView and infoView are qualified, because the extension's schema
// need not be on the search path.
func (c *capabilities) statementsView() string {
	return pgx.Identifier{c.Schema, "pg_stat_statements"}.Sanitize()
}

func (c *capabilities) infoView() string {
	return pgx.Identifier{c.Schema, "pg_stat_statements_info"}.Sanitize()
}

// hasQueryID tells whether sessions show their statement's id (14+).
func (c *capabilities) hasQueryID() bool { return c.views[viewActivity]["query_id"] }

// skew is the server's clock less ours.
func (c *capabilities) skew() time.Duration { return c.Now.Sub(c.asked) }
