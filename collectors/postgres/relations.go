package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// relationRow is a table or an index with its counters. Table is the table's
// own name, or that of an index's table.
type relationRow struct {
	OID    uint32
	Table  string
	Name   string
	Values values
}

// maxRelations bounds tables and indexes each; those with most activity stay.
const maxRelations = 3000

var tableFields = []field[evidence.PGTable]{
	count(func(t *evidence.PGTable) *float64 { return &t.SeqScan }, "seq_scan"),
	count(func(t *evidence.PGTable) *float64 { return &t.SeqRead }, "seq_tup_read"),
	count(func(t *evidence.PGTable) *float64 { return &t.IdxScan }, "idx_scan"),
	count(func(t *evidence.PGTable) *float64 { return &t.IdxFetch }, "idx_tup_fetch"),
	count(func(t *evidence.PGTable) *float64 { return &t.Inserted }, "n_tup_ins"),
	count(func(t *evidence.PGTable) *float64 { return &t.Updated }, "n_tup_upd"),
	count(func(t *evidence.PGTable) *float64 { return &t.HotUpdated }, "n_tup_hot_upd"),
	count(func(t *evidence.PGTable) *float64 { return &t.Deleted }, "n_tup_del"),
	count(func(t *evidence.PGTable) *float64 { return &t.Autovacuums }, "autovacuum_count"),
	level(func(t *evidence.PGTable) *float64 { return &t.Live }, "n_live_tup"),
	level(func(t *evidence.PGTable) *float64 { return &t.Dead }, "n_dead_tup"),
	level(func(t *evidence.PGTable) *float64 { return &t.ModSinceAnlz }, "n_mod_since_analyze"),
}

var indexFields = []field[evidence.PGIndex]{
	count(func(i *evidence.PGIndex) *float64 { return &i.Scans }, "idx_scan"),
	count(func(i *evidence.PGIndex) *float64 { return &i.TupRead }, "idx_tup_read"),
	count(func(i *evidence.PGIndex) *float64 { return &i.TupFetch }, "idx_tup_fetch"),
}

// name of a relation: with its schema unless that is public.
const qualified = `case when v.schemaname = 'public' then '' else v.schemaname || '.' end || v.%s`

func readTables(ctx context.Context, s *session, c *capabilities) (map[uint32]relationRow, error) {
	name := fmt.Sprintf(qualified, "relname")
	sql := fmt.Sprintf(`select /* culprit */ v.relid, %s, %s, %s from %s v
 order by coalesce(v.seq_tup_read,0) + coalesce(v.idx_tup_fetch,0) + v.n_tup_ins + v.n_tup_upd + v.n_tup_del desc, v.relid limit %d`,
		name, name, array(tableFields, c.views[viewTables]), viewTables, maxRelations)
	return readRelations(ctx, s, sql)
}

func readIndexes(ctx context.Context, s *session, c *capabilities) (map[uint32]relationRow, error) {
	sql := fmt.Sprintf(`select /* culprit */ v.indexrelid, %s, %s, %s from %s v order by v.idx_tup_read + v.idx_scan desc, v.indexrelid limit %d`,
		fmt.Sprintf(qualified, "relname"), fmt.Sprintf(qualified, "indexrelname"), array(indexFields, c.views[viewIndexes]), viewIndexes, maxRelations)
	return readRelations(ctx, s, sql)
}

func readRelations(ctx context.Context, s *session, sql string) (map[uint32]relationRow, error) {
	found, err := rows(ctx, s, pgx.RowToStructByPos[relationRow], sql)
	if err != nil {
		return nil, err
	}
	out := make(map[uint32]relationRow, len(found))
	for _, r := range found {
		out[r.OID] = r
	}
	return out, nil
}

// tableShape is what a table is, apart from its counters.
type tableShape struct {
	OID       uint32
	RelTuples float64 // -1 where never analyzed
	Bytes     float64
	VacuumAt  float64 // dead tuples at which autovacuum acts, by the table's own settings
	XIDAge    float64
	Fill      float64 // fillfactor, %
	Root      string  // the partitioned table that it is a leaf of, "" where it is none
}

// sizeSQL asks for a relation's size: exactly, which waits for a lock behind
// running DDL, or as of its last vacuum or analyze.
func sizeSQL(exact bool) string {
	if exact {
		return "pg_relation_size(c.oid)::float8"
	}
	return "c.relpages * current_setting('block_size')::float8"
}

func readTableShapes(ctx context.Context, s *session, oids []uint32, exact bool) ([]tableShape, error) {
	return rows(ctx, s, pgx.RowToStructByPos[tableShape],
		`select /* culprit */ c.oid, c.reltuples::float8, `+sizeSQL(exact)+`,
 `+vacuumOption("threshold")+` + `+vacuumOption("scale_factor")+` * greatest(c.reltuples, 0), age(c.relfrozenxid)::float8,
 coalesce((select option_value::float8 from pg_options_to_table(c.reloptions) where option_name = 'fillfactor'), 100),
 case when c.relispartition and c.relkind = 'r' then coalesce((select `+rootName+`), '') else '' end
from pg_catalog.pg_class c where c.oid = any($1::oid[])`, oids)
}

// rootName is the name of the partitioned table at the top of relation c.
const rootName = `case when n.nspname = 'public' then '' else n.nspname || '.' end || r.relname
  from pg_catalog.pg_class r join pg_catalog.pg_namespace n on n.oid = r.relnamespace where r.oid = pg_partition_root(c.oid)`

// vacuumOption is the table's own setting, or the server's.
func vacuumOption(name string) string {
	name = "autovacuum_vacuum_" + name
	return fmt.Sprintf("coalesce((select option_value::float8 from pg_options_to_table(c.reloptions) where option_name = '%[1]s'), current_setting('%[1]s')::float8)", name)
}

// indexShape is what an index is, apart from its counters.
type indexShape struct {
	OID                                         uint32
	Columns, Follows                            []string
	Method                                      string
	Unique, Primary, Valid, Constraint, Partial bool
	Monotonic                                   bool
	Bytes                                       float64
}

// A leading column grows when its default says so, or when the rows lie in its
// order and it is nearly distinct: correlation alone marks a status column too.
// pg_stats shows only tables that the role may read.
const indexShapeSQL = `select /* culprit */ c.oid,
 array(select coalesce(k.attname::text, pg_get_indexdef(i.indexrelid, n::int, true)) from generate_series(1, i.indnkeyatts) n
  left join pg_catalog.pg_attribute k on k.attrelid = i.indrelid and k.attnum = i.indkey[n-1] and k.attnum > 0 order by n),
 array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = i.indrelid and a.attnum > 0
  and (a.attnum = any(i.indkey) or exists(select from pg_catalog.pg_depend x where x.classid = 'pg_catalog.pg_class'::regclass and x.objid = i.indexrelid
   and x.refclassid = 'pg_catalog.pg_class'::regclass and x.refobjid = i.indrelid and x.refobjsubid = a.attnum)) order by 1),
 am.amname::text, i.indisunique, i.indisprimary, i.indisvalid,
 exists(select from pg_catalog.pg_constraint x where x.conindid = i.indexrelid), i.indpred is not null,
 am.amname = 'btree' and coalesce(a.attidentity <> ''
  or pg_get_expr(d.adbin, d.adrelid) ~* '\m(nextval|now|current_timestamp|clock_timestamp|transaction_timestamp|statement_timestamp|uuidv7|uuid_generate_v7)\M'
  or (t.reltuples >= 1000 and abs(st.correlation) >= 0.99 and st.n_distinct <= -0.9), false),
 %s
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_am am on am.oid = c.relam
join pg_catalog.pg_class t on t.oid = i.indrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace
left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and a.attnum > 0
left join pg_catalog.pg_attrdef d on d.adrelid = i.indrelid and d.adnum = a.attnum
left join pg_catalog.pg_stats st on st.schemaname = n.nspname and st.tablename = t.relname and st.attname = a.attname and not st.inherited
where i.indexrelid = any($1::oid[])`

func readIndexShapes(ctx context.Context, s *session, oids []uint32, exact bool) ([]indexShape, error) {
	return rows(ctx, s, pgx.RowToStructByPos[indexShape], fmt.Sprintf(indexShapeSQL, sizeSQL(exact)), oids)
}

// orInexact asks again without exact sizes where a lock is in the way.
func orInexact[T any](read func(exact bool) ([]T, error)) (found []T, exact bool, err error) {
	found, err = read(true)
	if code(err) != codeLockTimeout {
		return found, true, err
	}
	found, err = read(false)
	return found, false, err
}
