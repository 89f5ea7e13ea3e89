package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func newCollector(t testing.TB, c Config) *Collector {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Second
	}
	if c.Settle == 0 {
		c.Settle = 700 * time.Millisecond // the loads of these tests disconnect, which flushes
	}
	got, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.Close)
	return got
}

// run collects around what load does.
func run(t *testing.T, c *Collector, load func()) *evidence.Bundle {
	t.Helper()
	ctx := context.Background()
	w := evidence.Window{Start: time.Now()}
	if err := c.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	load()
	w.End = time.Now()
	b, err := c.Collect(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func statement(t *testing.T, p evidence.Postgres, part string) evidence.Statement {
	t.Helper()
	for _, st := range p.Statements {
		if strings.Contains(st.Text, part) {
			return st
		}
	}
	t.Fatalf("no statement with %q among %d", part, len(p.Statements))
	return evidence.Statement{}
}

func gapWith(b *evidence.Bundle, part string) (evidence.Gap, bool) {
	for _, g := range b.Gaps {
		if strings.Contains(g.Reason+" "+g.Remedy, part) {
			return g, true
		}
	}
	return evidence.Gap{}, false
}

func wantGap(t *testing.T, b *evidence.Bundle, part string) {
	t.Helper()
	g, ok := gapWith(b, part)
	if !ok {
		t.Errorf("no gap with %q in %+v", part, b.Gaps)
	}
	if ok && (g.Remedy == "" || g.Source != "postgres" || g.Kinds == nil) {
		t.Errorf("the gap lacks something: %+v", g)
	}
	if b.Sources[0].Status != evidence.StatusPartial {
		t.Errorf("status is %s", b.Sources[0].Status)
	}
}

func wantNote(t *testing.T, b *evidence.Bundle, part string) {
	t.Helper()
	if !strings.Contains(strings.Join(b.Sources[0].Notes, "\n"), part) {
		t.Errorf("no note with %q in %q", part, b.Sources[0].Notes)
	}
}

const lookup = "select id, made from purchase where buyer = $1 order by made desc"

// lookUp runs the statement that lacks an index.
func (s *server) lookUp(times int) { s.again(times, lookup) }

// again executes a statement with rising numbers, by a session that ends after
// it: only then are all of its counters surely flushed.
func (s *server) again(times int, sql string) {
	s.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.dsn("postgres", "shop"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(ctx)
	for i := range times {
		if _, err := conn.Exec(ctx, sql, i); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestRun(t *testing.T) { onEach(t, testRun) }

func testRun(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	s.lookUp(3) // before the window: must not count
	c := newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true})
	b := run(t, c, func() { s.lookUp(150) })
	p := b.Postgres[0]
	if wantAdvice(t, r, b); p.Subset {
		t.Error("two snapshots are no subset")
	}
	st := statement(t, p, "buyer = ?")
	_, key := evidence.NormalizeSQL("select id, made from purchase where buyer = 42 order by made desc")
	if st.Calls != 150 || st.Rows != 900 || st.Key != key || !slices.Equal(st.Tables, []string{"purchase"}) || st.BlocksPerCall() < 1000 {
		t.Errorf("statement %+v", st)
	}
	if mean := st.Mean(); mean < 0.0005 || mean > 1 || st.StddevExec <= 0 || st.StddevExec > 10*mean {
		t.Errorf("mean %g s, deviation %g s", mean, st.StddevExec)
	}
	for _, own := range p.Statements {
		if strings.Contains(own.Text, "pg_stat") || strings.Contains(own.Text, "hypopg") {
			t.Errorf("our own statement is in the evidence: %s", own.Text)
		}
	}
	if p.Database == nil || p.Database.Commits < 150 || p.Database.ActiveTime < st.Exec*0.8 || p.Database.Sessions < 1 {
		t.Errorf("database %+v, executor time %g", p.Database, st.Exec)
	}
	checkShapes(t, p)
	checkActivity(t, p, st)
	if p.Server.Settings["max_connections"] != "100" || p.Server.Settings["shared_buffers"] != "64MB" || p.Server.Settings["statement_timeout"] != "" {
		t.Errorf("settings %v", p.Server.Settings)
	}
	if len(b.Series) != 2 || len(b.Series[0].Values) == 0 {
		t.Errorf("series %+v", b.Series)
	}
}

// wantAdvice holds the advice of lookup: verified, and nothing else to complain
// of, where there is hypopg; where not, advice that says so, and a gap.
func wantAdvice(t *testing.T, r release, b *evidence.Bundle) {
	t.Helper()
	p := b.Postgres[0]
	if len(p.Advice) != 1 {
		t.Fatalf("advice %+v", p.Advice)
	}
	a := p.Advice[0]
	if r.hypopg {
		if len(b.Gaps) > 0 || b.Sources[0].Status != evidence.StatusOK || !a.Verified || a.DDL != "CREATE INDEX CONCURRENTLY ON purchase (buyer);" || a.CostAfter > a.CostBefore/2 {
			t.Errorf("status %s, advice %+v, gaps %+v", b.Sources[0].Status, a, b.Gaps)
		}
		return
	}
	wantGap(t, b, "CREATE EXTENSION hypopg")
	if len(b.Gaps) != 1 || a.Verified || a.Table != "purchase" || a.Columns[0] != "buyer" || a.Bytes == 0 || !strings.Contains(a.Note, "hypopg is not installed") {
		t.Errorf("advice %+v, gaps %+v", a, b.Gaps)
	}
}

func checkShapes(t *testing.T, p evidence.Postgres) {
	t.Helper()
	monotonic := map[string]bool{"purchase_pkey": true, "purchase_made": true, "purchase_state": false, "counter_pkey": false}
	for _, i := range p.Indexes {
		want, known := monotonic[i.Name]
		if !known || i.Monotonic != want || !i.Valid || i.Bytes == 0 || i.Method != "btree" || len(i.Columns) != 1 {
			t.Errorf("index %+v", i)
		}
	}
	if len(p.Indexes) != len(monotonic) {
		t.Errorf("%d indexes", len(p.Indexes))
	}
	i := slices.IndexFunc(p.Tables, func(t evidence.PGTable) bool { return t.Name == "purchase" })
	if i < 0 || p.Tables[i].RelTuples != 120000 || p.Tables[i].SeqRead < 140*120000 || p.Tables[i].SeqRead > 151*120000 {
		t.Errorf("tables %+v", p.Tables)
	}
}

func checkActivity(t *testing.T, p evidence.Postgres, st evidence.Statement) {
	t.Helper()
	active := 0
	for _, w := range p.Activity {
		if w.State == "active" && w.QueryID == st.QueryID {
			active += w.Sessions
		}
	}
	if sampled := float64(active) / float64(p.Ticks); p.Ticks < 5 || sampled < 0.2 {
		t.Errorf("%g sessions active over %d ticks: %+v", sampled, p.Ticks, p.Activity)
	}
}
