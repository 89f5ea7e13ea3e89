package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// coveredSQL finds b-trees that another one makes redundant: the same leading
// columns in the same order, operator classes and collations, the same
// predicate and expressions. An index that holds a constraint or identifies
// rows for replication is never redundant; of two equal ones the younger is.
const coveredSQL = `with /* culprit */ x as (select i.*, c.relname, coalesce(pg_get_expr(i.indpred, i.indrelid), '') as pred, coalesce(pg_get_expr(i.indexprs, i.indrelid), '') as exprs,
  (i.indkey::int2[])[0:i.indnkeyatts-1] as k, (i.indclass::oid[])[0:i.indnkeyatts-1] as oc, (i.indcollation::oid[])[0:i.indnkeyatts-1] as co, (i.indoption::int2[])[0:i.indnkeyatts-1] as op
  from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_am am on am.oid = c.relam
  where i.indisvalid and am.amname = 'btree' and i.indexrelid = any($1::oid[]))
select distinct on (a.indexrelid) a.indexrelid, b.relname::text from x a join x b on a.indrelid = b.indrelid and a.indexrelid <> b.indexrelid and a.pred = b.pred and a.exprs = b.exprs
 and a.k = b.k[1:cardinality(a.k)] and a.oc = b.oc[1:cardinality(a.k)] and a.co = b.co[1:cardinality(a.k)] and a.op = b.op[1:cardinality(a.k)]
where not a.indisunique and not a.indisprimary and not a.indisreplident and not a.indisexclusion
 and not exists (select from pg_catalog.pg_constraint c where c.conindid = a.indexrelid) and (a.k <> b.k or b.indisunique or a.indexrelid > b.indexrelid)
order by a.indexrelid, cardinality(b.k), b.indexrelid`

type covered struct {
	OID uint32
	By  string
}

func readCovered(ctx context.Context, s *session, oids []uint32) ([]covered, error) {
	return rows(ctx, s, pgx.RowToStructByPos[covered], coveredSQL, oids)
}

// unindexedSQL lists foreign keys whose columns lead no index.
const unindexedSQL = `select /* culprit */ case when n.nspname = 'public' then '' else n.nspname || '.' end || t.relname, c.conname::text,
 array(select a.attname::text from unnest(c.conkey) with ordinality k(num, n) join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num order by k.n),
 case when m.nspname = 'public' then '' else m.nspname || '.' end || p.relname
from pg_catalog.pg_constraint c join pg_catalog.pg_class t on t.oid = c.conrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace
join pg_catalog.pg_class p on p.oid = c.confrelid join pg_catalog.pg_namespace m on m.oid = p.relnamespace
where c.contype = 'f' and not exists (select from pg_catalog.pg_index i where i.indrelid = c.conrelid and i.indisvalid and i.indpred is null
 and (i.indkey::int2[])[0:cardinality(c.conkey)-1] @> c.conkey and c.conkey @> (i.indkey::int2[])[0:cardinality(c.conkey)-1])
order by 1, 2 limit 500`

func readUnindexed(ctx context.Context, s *session) ([]evidence.PGForeignKey, error) {
	return rows(ctx, s, pgx.RowToStructByPos[evidence.PGForeignKey], unindexedSQL)
}

// sequencesSQL lists sequences more than half used up, by their own limit or
// that of the column that they feed. Those that the role may not read have no
// last value and are left out.
const sequencesSQL = `select /* culprit */ name, used from (
 select case when s.schemaname = 'public' then '' else s.schemaname || '.' end || s.sequencename as name,
  s.last_value::float8 / least(s.max_value, case y.typname when 'int2' then 32767 when 'int4' then 2147483647 else s.max_value end) as used
 from pg_catalog.pg_sequences s join pg_catalog.pg_namespace n on n.nspname = s.schemaname join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = s.sequencename
 left join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
 left join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid left join pg_catalog.pg_type y on y.oid = a.atttypid
 where s.increment_by > 0 and s.last_value is not null) x where used > 0.5 order by used desc, name limit 100`

func readSequences(ctx context.Context, s *session) ([]evidence.PGSequence, error) {
	return rows(ctx, s, pgx.RowToStructByPos[evidence.PGSequence], sequencesSQL)
}
