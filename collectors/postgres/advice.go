package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A statement reads like one that lacks an index when it is called often,
// touches many blocks for few rows, and its time matters. The values are of
// one measured server. Where the planner can be asked, it decides, and the
// statement need not look quite as bad.
const (
	adviceCalls       = 20
	adviceShare       = 0.05 // of the executor time of all statements
	adviceTableRows   = 5000 // smaller tables are as well read whole
	adviceMinCost     = 100  // a plan cheaper than that is left alone
	adviceCostRatio   = 0.5  // the index must at least halve the cost
	adviceColumnRatio = 1.0 / 3

	maxAdviceQueries   = 10
	maxAdviceCols      = 3
	maxAdviceTables    = 3
	bytesPerIndexEntry = 20 // tuple header, line pointer, alignment
)

// suspicion is how bad a statement must look.
type suspicion struct {
	blocksCall, blocksRow float64
	readsCall             float64 // rows that its table's sequential scans read a call
}

var (
	verifiable = suspicion{blocksCall: 50, blocksRow: 10}
	guessed    = suspicion{blocksCall: 200, blocksRow: 20, readsCall: 1000}
)

func (s suspicion) falls(st evidence.Statement) bool {
	blocks := st.BlocksPerCall()
	return blocks >= s.blocksCall && blocks/max(st.Rows/max(st.Calls, 1), 1) >= s.blocksRow
}

// advisor looks for the index that statements lack.
type advisor struct {
	account *account
	session *session
	caps    *capabilities
	explain bool
}

// candidate is an index that could help.
type candidate struct {
	relation relation
	columns  []string
}

func (c candidate) ddl(concurrently string) string {
	cols := make([]string, len(c.columns))
	for i, name := range c.columns {
		cols[i] = identifier(name)
	}
	return fmt.Sprintf("CREATE INDEX %sON %s (%s)", concurrently, c.relation.sql(), strings.Join(cols, ", "))
}

func (a *account) addAdvice(ctx context.Context, s *session, c *capabilities, explain bool) {
	adv := advisor{account: a, session: s, caps: c, explain: explain}
	suspects := a.suspects()
	for i, st := range suspects {
		found, err := adv.advise(ctx, st)
		if err != nil {
			a.failed = true
			a.gap(failureGap(failure{[]evidence.Kind{evidence.PGIndexAdvice}, "look for a missing index", s.plain(err)}, c))
			return
		}
		a.pg.Advice = append(a.pg.Advice, found...)
		if i+1 == maxAdviceQueries {
			a.note("index advice was sought for the %d statements with most time", maxAdviceQueries)
			break
		}
	}
	if slices.ContainsFunc(a.pg.Advice, func(i evidence.IndexAdvice) bool { return !i.Verified }) && c.HypoPG == "" {
		g := noHypoPG()
		a.gap(g)
	}
}

// suspects are the statements that look as if they lacked an index, those with
// most time first, each query id once.
func (a *account) suspects() (out []evidence.Statement) {
	total := 0.0
	for _, st := range a.pg.Statements {
		if st.TopLevel {
			total += st.Exec
		}
	}
	for _, st := range a.pg.Statements {
		if st.Calls >= adviceCalls && st.Exec >= adviceShare*total && verifiable.falls(st) {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(x, y evidence.Statement) int {
		return cmp.Or(cmp.Compare(y.Exec, x.Exec), cmp.Compare(x.QueryID, y.QueryID))
	})
	return slices.CompactFunc(out, func(x, y evidence.Statement) bool { return x.QueryID == y.QueryID })
}

// advise gives at most one index for a statement.
func (v *advisor) advise(ctx context.Context, st evidence.Statement) ([]evidence.IndexAdvice, error) {
	q := parseQuery(st.Text)
	if !slices.Contains([]string{"select", "update", "delete", "with"}, q.Verb) || q.Or {
		return nil, nil
	}
	relations, err := readCatalogue(ctx, v.session, q)
	if err != nil {
		return nil, err
	}
	candidates := v.candidates(q, relations)
	if len(candidates) == 0 {
		return nil, nil
	}
	why, err := v.unexplainable(ctx, st, q, relations)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return v.unverified(st, candidates, why), nil
	}
	if v.caps.HypoPG == "" {
		found := v.unverified(st, candidates, "the extension hypopg is not installed in this database")
		return found, v.expects(ctx, st, candidates, found)
	}
	found, why, err := v.verify(ctx, st, candidates)
	if why != "" && err == nil {
		return v.unverified(st, candidates, why), nil
	}
	return found, err
}

// candidates are ordered by their number of columns. Tables are those large
// enough, and columns stand as a b-tree wants them: equalities, then one range
// or the order.
func (v *advisor) candidates(q query, relations []relation) (out []candidate) {
	resolve := func(p predicate) string { return owner(q, relations, p) }
	tables := 0
	for _, rel := range relations {
		if rel.Kind != "r" || rel.Tuples < adviceTableRows || tables == maxAdviceTables {
			continue
		}
		tables++
		equal := q.of(equality, rel.Written, resolve)
		equal = equal[:min(len(equal), maxAdviceCols)]
		last := slices.Concat(q.of(ranged, rel.Written, resolve), q.of(ordered, rel.Written, resolve))
		for _, columns := range columnSets(equal, last) {
			c := candidate{rel, columns}
			if !v.exists(c) {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(x, y candidate) int { return cmp.Compare(len(x.columns), len(y.columns)) })
	return out
}

// columnSets combines columns compared by equality with at most one that is
// compared by range or orders the answer.
func columnSets(equal, last []string) (out [][]string) {
	add := func(set []string) {
		if len(set) > 0 && !slices.ContainsFunc(out, func(o []string) bool { return slices.Equal(o, set) }) {
			out = append(out, set)
		}
	}
	for _, c := range equal {
		add([]string{c})
	}
	add(equal)
	for _, c := range last {
		if !slices.Contains(equal, c) {
			add(append(slices.Clone(equal), c))
		}
	}
	return out
}

// exists reports whether an index that leads with the same columns is there.
func (v *advisor) exists(c candidate) bool {
	return slices.ContainsFunc(v.account.pg.Indexes, func(i evidence.PGIndex) bool {
		return i.Table == c.relation.Name && i.Valid && !i.Partial && i.Method == "btree" &&
			len(i.Columns) >= len(c.columns) && slices.Equal(i.Columns[:len(c.columns)], c.columns)
	})
}

// unverified is the fullest candidate on the table that was read in sequence,
// with the reason why the planner was not asked. The table's own counters have
// to speak for it.
func (v *advisor) unverified(st evidence.Statement, candidates []candidate, why string) []evidence.IndexAdvice {
	if !guessed.falls(st) {
		return nil
	}
	for _, c := range slices.Backward(candidates) {
		i := slices.IndexFunc(v.account.pg.Tables, func(t evidence.PGTable) bool { return t.Name == c.relation.Name })
		if i < 0 || v.account.pg.Tables[i].SeqRead < guessed.readsCall*st.Calls {
			continue
		}
		return []evidence.IndexAdvice{{
			QueryID: st.QueryID, Table: c.relation.Name, Columns: c.columns, DDL: c.ddl("CONCURRENTLY ") + ";",
			Bytes: c.bytes(), Note: "not verified: " + why,
		}}
	}
	return nil
}

// bytes estimates the size of a b-tree: an entry a row, its columns' widths,
// pages 90 % full.
func (c candidate) bytes() float64 {
	width := float64(bytesPerIndexEntry)
	for i, name := range c.relation.Columns {
		if slices.Contains(c.columns, name) {
			width += c.relation.Widths[i]
		}
	}
	return c.relation.Tuples * width / 0.9
}

// relation is what the catalogue says of a table that a statement names.
type relation struct {
	Written string // as in the statement
	OID     uint32
	Schema  string
	Bare    string
	Name    string // qualified unless in public
	Kind    string // relkind
	Tuples  float64
	Columns []string // that a b-tree can order
	Widths  []float64
}

func (r relation) sql() string {
	if r.Schema == "public" {
		return identifier(r.Bare)
	}
	return identifier(r.Schema) + "." + identifier(r.Bare)
}

const catalogueSQL = `select /* culprit */ t.written, c.oid, n.nspname::text, c.relname::text, case when n.nspname = 'public' then '' else n.nspname || '.' end || c.relname, c.relkind::text, c.reltuples::float8,
 coalesce(k.names, '{}'), coalesce(k.widths, '{}')
from unnest($1::text[]) t(written) join pg_catalog.pg_class c on c.oid = to_regclass(t.written) join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join lateral (select array_agg(a.attname::text order by a.attnum) as names, array_agg(case when a.attlen > 0 then a.attlen else 24 end::float8 order by a.attnum) as widths
 from pg_catalog.pg_attribute a join pg_catalog.pg_type y on y.oid = a.atttypid
 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and y.typcategory not in ('G', 'X') and y.typname not in ('json', 'xml')) k on true
order by t.written`

// readCatalogue looks up the tables that a statement names, in the order of
// their names.
func readCatalogue(ctx context.Context, s *session, q query) ([]relation, error) {
	var names []string
	for _, table := range q.Aliases {
		names = append(names, table)
	}
	slices.Sort(names)
	return rows(ctx, s, pgx.RowToStructByPos[relation], catalogueSQL, slices.Compact(names))
}

// owner is the table, as written, whose column a predicate names; "" where
// none or several have it.
func owner(q query, relations []relation, p predicate) string {
	found := ""
	for _, r := range relations {
		if p.Qualifier != "" && q.Aliases[p.Qualifier] != r.Written {
			continue
		}
		if !slices.Contains(r.Columns, p.Column) {
			continue
		}
		if found != "" {
			return ""
		}
		found = r.Written
	}
	return found
}
