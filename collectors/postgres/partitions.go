package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// partitionedSQL lists the partitioned tables that are no partition of another
// themselves, with the columns of their keys. Keys of expressions are left out:
// how statements compare those is not understood here.
const partitionedSQL = `select /* culprit */ case when n.nspname = 'public' then '' else n.nspname || '.' end || c.relname as name,
 case p.partstrat when 'r' then 'range' when 'l' then 'list' else 'hash' end,
 array(select a.attname::text from unnest(p.partattrs::int2[]) with ordinality k(num, n)
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.num order by k.n),
 '{}'::text[]
from pg_catalog.pg_partitioned_table p join pg_catalog.pg_class c on c.oid = p.partrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not c.relispartition and p.partexprs is null order by 1 limit 500`

func readPartitioned(ctx context.Context, s *session) ([]evidence.PGPartition, error) {
	return rows(ctx, s, pgx.RowToStructByPos[evidence.PGPartition], partitionedSQL)
}

// addUnpruned names the statements that nothing keeps to some partitions: they
// want some rows of the table, and no condition compares a column of its key.
// Whether each call really read all of them, the tables' counters tell. Tables
// that no such statement reads are dropped.
func (a *account) addUnpruned() {
	for i := range a.pg.Partitions {
		p := &a.pg.Partitions[i]
		for k := range a.pg.Statements {
			if st := &a.pg.Statements[k]; slices.Contains(st.Tables, p.Name) && !slices.Contains(p.Unpruned, st.QueryID) && unpruned(st.Text, p) {
				p.Unpruned = append(p.Unpruned, st.QueryID)
			}
		}
		slices.Sort(p.Unpruned)
	}
	a.pg.Partitions = slices.DeleteFunc(a.pg.Partitions, func(p evidence.PGPartition) bool { return len(p.Unpruned) == 0 })
}

// unpruned: there are conditions, and none on a column that is called as one of
// the key, of whichever table: a join by the key prunes while it runs. A
// statement without any wants all of the rows.
func unpruned(text string, p *evidence.PGPartition) bool {
	q := parseQuery(text)
	if !slices.Contains([]string{"select", "update", "delete", "with"}, q.Verb) || !slices.Contains(words(text), "where") {
		return false
	}
	return !slices.ContainsFunc(q.Predicates, func(c predicate) bool { return c.Kind != ordered && slices.Contains(p.Columns, c.Column) })
}
