package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// adviceShop is larger than shop, with the columns that the cases name.
func (s *server) adviceShop() *pgx.Conn {
	s.t.Helper()
	conn := s.shop()
	s.exec(conn, "alter table purchase add column flag int, add column code text, add column paid timestamptz",
		"update purchase set flag = id % 2, code = 'c' || (id % 5000), paid = now() - (random() * interval '900 days')",
		"create table line (id bigserial primary key, purchase_id bigint not null, item int not null)",
		"insert into line (purchase_id, item) select (i * 31) % 120000, i % 500 from generate_series(1, 240000) i",
		`create table "OddTable" ("Select" int, "plain" text)`, `insert into "OddTable" select (i * 37) % 50000, repeat('y', 80) from generate_series(1, 150000) i`,
		"vacuum full analyze")
	return conn
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_parallel_workers_per_gather = 0")
	conn := s.adviceShop()
	for _, test := range []struct {
		sql  string
		args []any
		want string // DDL, or "" where no index is to be advised
	}{
		{"select id from purchase where buyer = $1", []any{7}, "purchase (buyer)"},
		{"select id from purchase where buyer = $1 and state = $2", []any{7, "open"}, "purchase (buyer)"},
		{"select p.id from purchase p where p.code = $1 order by p.made desc limit 20", []any{"c7"}, "purchase (code, made)"},
		{"select id from purchase where flag = $1 and code = $2", []any{1, "c7"}, "purchase (code)"}, // id is in no index: an index-only scan would depend on vacuum
		{"select sum(id) from purchase where paid between $1 and $2", []any{time.Now().AddDate(0, 0, -100), time.Now().AddDate(0, 0, -99)}, "purchase (paid)"},
		{"update purchase set note = note where buyer = $1", []any{7}, "purchase (buyer)"},
		{"delete from purchase where buyer = $1", []any{-7}, "purchase (buyer)"},
		{"select l.item from purchase p join line l on l.purchase_id = p.id where p.id = $1", []any{77}, "line (purchase_id)"},
		{`select "plain" from "OddTable" where "Select" = $1`, []any{7}, `"OddTable" ("Select")`},
		{"select count(*) from purchase where note like $1", []any{"%z%"}, ""},
		{"select count(*) from purchase where buyer = $1 or code = $2", []any{7, "c7"}, ""},
		{"select sum(id) from purchase where flag = $1", []any{1}, ""},
		{"select count(*) from purchase", nil, ""},
		{"select count(*) from purchase where lower(code) = $1", []any{"c7"}, ""},
		{"select id from purchase where id = $1", []any{7}, ""},
	} {
		t.Run(test.sql, func(t *testing.T) {
			c := newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true, Settle: -1})
			if strings.HasPrefix(test.sql, "update") || strings.HasPrefix(test.sql, "delete") {
				c = newCollector(t, Config{DSN: s.dsn("postgres", "shop"), Explain: true, Settle: -1})
			}
			b := run(t, c, func() {
				for range 25 {
					if _, err := conn.Exec(context.Background(), test.sql, test.args...); err != nil {
						t.Fatal(err)
					}
				}
			})
			got := b.Postgres[0].Advice
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("advice %+v", got)
			case test.want != "" && (len(got) != 1 || !got[0].Verified || got[0].DDL != "CREATE INDEX CONCURRENTLY ON "+test.want+";"):
				t.Errorf("advice %+v, want %s; %+v; %+v", got, test.want, b.Gaps, b.Postgres[0].Statements)
			}
		})
	}
}

// TestAdviceKeepsItsPromise creates the index that was advised and compares the
// gain with the one that the planner foretold.
func TestAdviceKeepsItsPromise(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	conn := s.adviceShop()
	measure := func(explain bool) (evidence.Statement, []evidence.IndexAdvice) {
		b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: explain, Settle: -1}), func() { s.lookUp(100) })
		return statement(t, b.Postgres[0], "buyer = ?"), b.Postgres[0].Advice
	}
	before, advice := measure(true)
	if len(advice) != 1 || !advice[0].Verified {
		t.Fatalf("advice %+v", advice)
	}
	s.exec(conn, advice[0].DDL)
	after, again := measure(true)
	foretold := advice[0].CostBefore / advice[0].CostAfter
	gained := before.Mean() / after.Mean()
	t.Logf("foretold %.0f times cheaper, measured %.0f times faster (%.3f ms to %.3f ms); size foretold %.0f", foretold, gained, 1000*before.Mean(), 1000*after.Mean(), advice[0].Bytes)
	if gained < foretold/10 || gained < 2 {
		t.Errorf("foretold %.0f times, gained %.1f times", foretold, gained)
	}
	if len(again) > 0 {
		t.Errorf("advised again: %+v", again)
	}
	var bytes float64
	if err := conn.QueryRow(context.Background(), "select pg_relation_size('purchase_buyer_idx')::float8").Scan(&bytes); err != nil {
		t.Fatal(err)
	}
	if advice[0].Bytes < bytes/4 || advice[0].Bytes > bytes*4 {
		t.Errorf("size foretold %.0f, is %.0f", advice[0].Bytes, bytes)
	}
}
