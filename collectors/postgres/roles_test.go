package postgres

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestRoles(t *testing.T) { onEach(t, testRoles) }

func testRoles(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	t.Run("superuser", func(t *testing.T) {
		b := run(t, newCollector(t, Config{DSN: s.dsn("postgres", "shop"), Explain: true}), func() { s.lookUp(60) })
		wantAdvice(t, r, b)
	})
	t.Run("pg_monitor", func(t *testing.T) {
		b := run(t, newCollector(t, Config{DSN: s.dsn("watcher", "shop"), Explain: true}), func() { s.lookUp(60) })
		if st := statement(t, b.Postgres[0], "buyer = ?"); st.Calls != 60 {
			t.Errorf("statement %+v", st)
		}
		advice := b.Postgres[0].Advice
		if len(advice) != 1 || advice[0].Verified || !strings.Contains(advice[0].Note, "GRANT pg_read_all_data TO watcher;") || advice[0].Bytes == 0 {
			t.Errorf("advice %+v", advice)
		}
		wantNote(t, b, "GRANT pg_read_all_data TO watcher;")
	})
	t.Run("bare role", func(t *testing.T) {
		b := run(t, newCollector(t, Config{DSN: s.dsn("bare", "shop"), Explain: true}), func() { s.lookUp(60) })
		wantGap(t, b, "GRANT pg_monitor TO bare;")
		wantGap(t, b, "statements of other roles are hidden")
		wantGap(t, b, "sessions of other roles are hidden")
		p := b.Postgres[0]
		if len(p.Statements) != 0 || p.Database == nil || p.Database.Commits == 0 || len(p.Tables) == 0 {
			t.Errorf("statements %d, database %+v", len(p.Statements), p.Database)
		}
	})
	t.Run("check", func(t *testing.T) {
		pre, err := newCollector(t, Config{DSN: s.dsn("bare", "shop")}).Check(context.Background())
		if err != nil || len(pre.Lines) < 4 || len(pre.Gaps) != 2 || pre.Source.Status != evidence.StatusPartial {
			t.Errorf("%+v, %v", pre, err)
		}
		pre, err = newCollector(t, Config{DSN: s.dsn("postgres", "shop"), Explain: true}).Check(context.Background())
		if err != nil || (len(pre.Gaps) == 0) != r.hypopg || strings.Contains(strings.Join(pre.Lines, "\n"), "index advice can be verified") != r.hypopg {
			t.Errorf("%+v, %v", pre, err)
		}
	})
}

func TestExtensions(t *testing.T) { onEach(t, testExtensions) }

func testExtensions(t *testing.T, r release) {
	s := startRelease(t, r)
	conn := s.shop()
	t.Run("no hypopg", func(t *testing.T) {
		s.exec(conn, "drop extension if exists hypopg")
		b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true}), func() { s.lookUp(60) })
		advice := b.Postgres[0].Advice
		if len(advice) != 1 || advice[0].Verified || !strings.Contains(advice[0].Note, "hypopg") {
			t.Errorf("advice %+v", advice)
		}
		wantGap(t, b, "CREATE EXTENSION hypopg")
	})
	t.Run("no hypopg, rows added up", func(t *testing.T) {
		b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true}), func() { s.again(40, "select sum(id) from purchase where buyer = $1") })
		// 120,000 purchases of 20,000 buyers; a parallel plan tells of each worker
		if advice := b.Postgres[0].Advice; len(advice) != 1 || advice[0].Rows < 3 || advice[0].Rows > 30 {
			t.Errorf("advice %+v", advice)
		}
	})
	t.Run("extension in another schema", func(t *testing.T) {
		s.exec(conn, `create schema "Odd one"`, `alter extension pg_stat_statements set schema "Odd one"`)
		b := run(t, newCollector(t, Config{DSN: s.dsn("postgres", "shop")}), func() { s.lookUp(60) })
		if st := statement(t, b.Postgres[0], "buyer = ?"); st.Calls != 60 {
			t.Errorf("statement %+v", st)
		}
	})
	t.Run("extension absent", func(t *testing.T) {
		s.exec(conn, "drop extension pg_stat_statements")
		b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() { s.lookUp(60) })
		wantGap(t, b, "CREATE EXTENSION pg_stat_statements;")
		wantGap(t, b, "shared_preload_libraries")
		if b.Postgres[0].Ticks == 0 || b.Postgres[0].Database == nil {
			t.Error("the rest is missing")
		}
	})
}

func TestWrongDatabase(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("postgres", "postgres")}), func() {
		conn := s.connect("postgres", "shop")
		for range 1500 {
			s.exec(conn, "select 1")
		}
		s.lookUp(1)
		_ = conn.Close(context.Background())
	})
	wantGap(t, b, "database shop had")
}

// TestIdlePool leaves a pool's connection open after the load: its counters
// come ten seconds later.
func TestIdlePool(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	_ = s.shop().Close(context.Background()) // which flushes what it did
	conn := s.connect("postgres", "shop")
	time.Sleep(time.Second)
	c := newCollector(t, Config{DSN: s.dsn("reader", "shop"), Settle: 11 * time.Second})
	b := run(t, c, func() {
		for i := range 50 {
			if _, err := conn.Exec(context.Background(), lookup, i); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, x := range b.Postgres[0].Tables {
		if x.Name == "purchase" && (x.SeqRead < 50*120000 || x.SeqRead > 51*120000) {
			t.Errorf("rows read %.0f, want %d", x.SeqRead, 50*120000)
		}
	}
	if d := b.Postgres[0].Database; d.Commits < 50 || d.Commits > 100 || d.Sessions != 0 {
		t.Errorf("our own transactions count: %+v", d)
	}
}

func TestNotPreloaded(t *testing.T) { onEach(t, testNotPreloaded) }

func testNotPreloaded(t *testing.T, r release) {
	s := startRelease(t, r, "shared_preload_libraries = ''", "track_io_timing = off", "compute_query_id = auto")
	s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() { s.lookUp(10) })
	wantGap(t, b, "library is not loaded")
	wantGap(t, b, "shared_preload_libraries")
	wantGap(t, b, "ALTER SYSTEM SET track_io_timing = on")
}

// TestLostTexts loses the file that the server keeps the statements' texts in.
func TestLostTexts(t *testing.T) { onEach(t, testLostTexts) }

func testLostTexts(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	file := filepath.Join(s.data, "pg_stat_tmp", "pgss_query_texts.stat")
	for name, lose := range map[string]func() error{
		"unreadable": func() error { return os.Chmod(file, 0) },
		"removed":    func() error { return os.Remove(file) }, // what comes later is written behind a hole
	} {
		t.Run(name, func(t *testing.T) {
			s.exec(s.connect("postgres", "shop"), "select pg_stat_statements_reset()")
			defer os.Chmod(file, 0o600) // so that the server can begin it anew
			b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true}), func() {
				s.lookUp(60)
				if err := lose(); err != nil {
					t.Fatal(err)
				}
			})
			wantGap(t, b, "have no text on the server")
			wantGap(t, b, "SELECT pg_stat_statements_reset();")
			p := b.Postgres[0]
			if !slices.ContainsFunc(p.Statements, func(st evidence.Statement) bool { return st.Text == "" && st.Calls == 60 && st.Exec > 0 }) || p.Database == nil || p.Ticks == 0 {
				t.Errorf("the rest is missing: %+v", p)
			}
		})
	}
}

func TestAfterOnly(t *testing.T) { onEach(t, testAfterOnly) }

func testAfterOnly(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	start := time.Now()
	s.lookUp(60)
	b, err := newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true}).Collect(context.Background(), evidence.Window{Start: start, End: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	p := b.Postgres[0]
	if !p.Subset || !b.Sources[0].Subset || p.Since >= start.UnixMilli() || p.Ticks != 0 {
		t.Errorf("subset %v, since %d, ticks %d", p.Subset, p.Since, p.Ticks)
	}
	if st := statement(t, p, "buyer = ?"); st.Calls != 60 || len(p.Advice) != 1 {
		t.Errorf("statement %+v, advice %+v", st, p.Advice)
	}
	wantGap(t, b, "culprit run")
	wantNote(t, b, "one snapshot only")
}
