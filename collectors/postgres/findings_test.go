package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const increment = "update counter set n = n + 1 where id = $1"

// TestWaits plants faults in a real server, one after the other, that make
// sessions wait, and has what the collectors saw judged by the catalogue.
func TestWaits(t *testing.T) { onEach(t, testWaits) }

func testWaits(t *testing.T, r release) {
	s := startRelease(t, r, "synchronous_commit = off")
	shop := s.shop()
	views := viewsOf(t, s)
	t.Run("healthy", func(t *testing.T) {
		for _, j := range judgeLoad(t, s, loaded{clients: 4, every: 20 * time.Millisecond, request: []string{"select n from counter where id = $1", increment}}, views...) {
			if len(j.Causes) > 0 {
				t.Errorf("%s: %s of %s: %s", j.name, j.Causes[0].Rule.ID, j.Causes[0].Subject, j.Causes[0].Finding.Text)
			}
		}
	})
	t.Run("hot row", func(t *testing.T) {
		holdCause(t, judgeLoad(t, s, loaded{clients: 8, request: []string{"begin", "update counter set n = n + 1 where id = 1", "select n from counter where id = $1", "select pg_sleep(0.002)", "commit"}}, views...),
			"row-lock-contention", of("counter"))
	})
	t.Run("idle in transaction", func(t *testing.T) {
		all := judgeLoad(t, s, loaded{clients: 12, every: 250 * time.Millisecond, request: []string{increment}, beside: func(s *server) {
			hold(s, "forgetful", 2*time.Second, "begin", "update counter set n = 0")
		}}, views...)
		holdCause(t, all, "idle-in-transaction", of("counter"))
		holdFact(t, all, "app", "forgetful")
	})
	t.Run("lock queue", func(t *testing.T) {
		all := judgeLoad(t, s, loaded{clients: 30, every: 400 * time.Millisecond, request: []string{"select n from counter where id = $1"}, beside: func(s *server) {
			alter := s.connect("postgres", "shop")
			var wg sync.WaitGroup
			wg.Go(func() { hold(s, "forgetful", 2500*time.Millisecond, "begin", "select n from counter where id = 4242") })
			s.awaitRow("select count(*) > 0 from pg_stat_activity where application_name = 'forgetful' and state = 'idle in transaction'")
			s.exec(alter, "set application_name = 'migration'", "alter table counter add column if not exists extra int")
			wg.Wait()
		}}, views...)
		holdCause(t, all, "lock-queue", of("counter"))
		holdFact(t, all, "root", "forgetful")
		holdFact(t, all, "middle", "migration")
	})
	t.Run("vacuum blocked", func(t *testing.T) {
		s.exec(shop, "create table busy (id int primary key, n bigint)", "insert into busy select i, 0 from generate_series(0, 7) i",
			"alter table busy set (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0)")
		holder := s.connect("postgres", "shop")
		s.exec(holder, "set application_name = 'report'", "begin isolation level repeatable read", "select n from counter where id = 4242")
		churn := func(times int) { // on a connection that ends, so that its counters are flushed
			conn := s.connect("postgres", "shop")
			s.exec(conn, fmt.Sprintf("do $$ begin for i in 1..%d loop update busy set n = n + 1 where id = i %% 8; commit; end loop; end $$", times))
			_ = conn.Close(context.Background())
		}
		churn(100_000)
		all := judgeLoad(t, s, loaded{clients: 4, every: 50 * time.Millisecond, request: slices.Repeat([]string{"update busy set n = n + 1 where id = $1", "select n from busy where id = $1"}, 4),
			beside: func(*server) { churn(3000) }}, views...)
		s.exec(holder, "commit")
		holdCause(t, all, "vacuum-blocked", of("busy"))
		holdFact(t, all, "holder", "report")
	})
	t.Run("slow commit", func(t *testing.T) {
		s.exec(shop, "create table log (id bigserial, client int)", "alter system set synchronous_commit = on", "alter system set fsync = on", "alter system set commit_delay = 30000", "alter system set commit_siblings = 0", "select pg_reload_conf()")
		s.awaitRow(isSet, "commit_delay", "30000")
		for name, request := range map[string][]string{
			"by itself":  {"insert into log (client) values ($1)"},
			"explicitly": {"begin", "insert into log (client) values ($1)", "commit"},
		} {
			t.Run(name, func(t *testing.T) {
				holdCause(t, judgeLoad(t, s, loaded{clients: 8, request: request}, views...), "slow-commit", ofTarget)
			})
		}
	})
}

// holdFact wants a fact of the first cause of every view that sees it.
func holdFact(t *testing.T, all []judged, name, part string) {
	t.Helper()
	for _, j := range all {
		if !j.blind && len(j.Causes) > 0 && !strings.Contains(j.Causes[0].Finding.Facts[name], part) {
			t.Errorf("%s: %s is %q, want %q", j.name, name, j.Causes[0].Finding.Facts[name], part)
		}
	}
}

// TestStatements plants faults that make a statement do more than it should.
func TestStatements(t *testing.T) { onEach(t, testStatements) }

func testStatements(t *testing.T, r release) {
	s := startRelease(t, r, "synchronous_commit = off", "max_parallel_workers_per_gather = 0", "shared_buffers = '128MB'", "deadlock_timeout = '500ms'")
	shop := s.shop()
	views := viewsOf(t, s)
	t.Run("partitions", func(t *testing.T) {
		s.exec(shop, "create table event (id bigint not null, at int not null, device int not null, note text not null) partition by range (at)",
			"do $$ begin for i in 0..23 loop execute format('create table event_%s partition of event for values from (%s) to (%s)', i, i * 1000, (i + 1) * 1000); end loop; end $$",
			"insert into event select i, i % 24000, (i::bigint * 7919) % 1000, repeat('n', 40) from generate_series(1, 480000) i", "vacuum analyze event")
		all := judgeLoad(t, s, loaded{slow: true, clients: 8 * runtime.NumCPU(), lasts: 5 * time.Second, request: []string{"select count(note) from event where device = $1"}}, views...)
		holdCause(t, all, "missing-partition-pruning", of("select count(note) from event where device = ?"))
		holdFact(t, all, "partitions", "24")
		s.exec(shop, "drop table event")
	})
	t.Run("indexes that nothing reads", func(t *testing.T) {
		s.exec(shop, "create table entry (id bigserial primary key, a int, b int, c int, d int)", "create index entry_a on entry (a)", "create index entry_b on entry (b)", "create index entry_c on entry (c)", "create index entry_d on entry (d)",
			"create index entry_ab on entry (a, b)", "create index entry_cd on entry (c, d)", "create index entry_ba on entry (b, a)")
		// one writer: several would queue for the last page of the serial key
		all := judgeLoad(t, s, loaded{clients: 1, request: []string{"insert into entry (a, b, c, d) select (g * 7919 + $1::int) % 65521, (g * 104729) % 65521, g % 997, (g * 31) % 9973 from generate_series(1, 1000) g"}}, views...)
		holdCause(t, all, "index-write-amplification", of("entry"))
		holdFact(t, all, "unread", "entry_ba")
	})
	t.Run("updates that are not heap-only", func(t *testing.T) {
		s.exec(shop, "create table person (id int primary key, grp int not null, seen timestamptz not null, n int not null, name text not null)", "create index person_grp on person (grp)", "create index person_seen on person (seen)",
			"create index person_name on person (name, seen)", "create index person_low on person (lower(name))", "insert into person select i, i % 8, now(), 0, 'person ' || i from generate_series(1, 8000) i", "vacuum analyze person")
		all := judgeLoad(t, s, loaded{clients: 4, request: []string{"update person set seen = clock_timestamp(), n = n + 1 where grp = $1"}}, views...)
		holdCause(t, all, "index-write-amplification", of("person"))
		holdFact(t, all, "following", "person_name, person_seen")
	})
	t.Run("foreign key", func(t *testing.T) {
		s.exec(shop, "create table parent (id int primary key)", "insert into parent select generate_series(1, 20000)", "create table child (id int, parent_id int references parent)",
			"insert into child select i, 15000 + i % 5000 from generate_series(1, 200000) i", "create sequence doomed", "vacuum analyze")
		all := judgeLoad(t, s, loaded{clients: 4, request: []string{"delete from parent where id = (select nextval('doomed'))"}}, views...)
		holdCause(t, all, "foreign-key-without-index", of("child(parent_id)"))
	})
	t.Run("deep paging", func(t *testing.T) {
		holdCause(t, judgeLoad(t, s, loaded{clients: 4, request: []string{"select id, note from purchase order by id offset 110000 + $1::int limit 5"}}, views...),
			"deep-paging", of("select id, note from purchase order by id offset ? + ?::int limit ?"))
	})
	t.Run("deadlocks", func(t *testing.T) {
		holdCause(t, judgeLoad(t, s, loaded{clients: 6, lasts: 5 * time.Second, fails: "40P01", request: []string{"begin", "update counter set n = n + 1 where id = 1 + $1::int % 2", "select pg_sleep(0.01)", "update counter set n = n + 1 where id = 2 - $1::int % 2", "commit"}}, views...),
			"deadlocks", ofTarget)
	})
	t.Run("connection churn", func(t *testing.T) {
		holdCause(t, judgeLoad(t, s, loaded{clients: 6, fresh: true, request: []string{"select n from counter where id = $1"}}, views...), "connection-churn", ofTarget)
	})
	t.Run("JIT", func(t *testing.T) {
		var jit bool
		if err := shop.QueryRow(context.Background(), "select pg_jit_available()").Scan(&jit); err != nil || !jit {
			r.lacks(t, fmt.Sprintf("a compiler for statements (%v)", err))
		}
		s.exec(shop, "alter role app set jit = on", "alter role app set jit_above_cost = 0", "alter role app set jit_inline_above_cost = 0", "alter role app set jit_optimize_above_cost = 0")
		holdCause(t, judgeLoad(t, s, loaded{clients: 2, request: []string{"select sum(id + length(note)) from purchase where id < 100 + $1::int"}}, views...),
			"jit-compilation", of("select sum(id + length(note)) from purchase where id < ? + ?::int"))
	})
}

// TestParallelStarvation asks for workers that are not there, of statements
// that sleep in every row: processors stay idle, so that workers are what
// lacks. PostgreSQL 18 counts them; before, nothing can be said.
func TestParallelStarvation(t *testing.T) { onEach(t, testParallelStarvation) }

func testParallelStarvation(t *testing.T, r release) {
	const sum = "select sum(n) from nap where pg_sleep(0.002) is not null"
	s := startRelease(t, r, "max_parallel_workers = 1", "max_parallel_workers_per_gather = 3", "min_parallel_table_scan_size = 0", "parallel_setup_cost = 0", "parallel_tuple_cost = 0")
	shop := s.shop()
	// rows wide enough to lie on many pages, which is what workers divide
	s.exec(shop, "create table nap (n int, pad char(2000))", "insert into nap select i, 'p' from generate_series(1, 400) i", "alter table nap set (parallel_workers = 3)", "vacuum analyze nap")
	views := viewsOf(t, s)[:2]
	all := judgeLoad(t, s, loaded{slow: true, clients: 6, lasts: 7 * time.Second, request: []string{sum}}, views...)
	if r.name == "15" {
		for _, j := range all {
			if i := slices.IndexFunc(j.bundle.Postgres[0].Statements, func(s evidence.Statement) bool { return s.Planned > 0 }); i >= 0 {
				t.Errorf("%s: workers counted before 18: %+v", j.name, j.bundle.Postgres[0].Statements[i])
			}
		}
		return
	}
	holdCause(t, all, "parallel-starvation", of("select sum(n) from nap where pg_sleep(?) is not null"))
	if t.Failed() {
		return
	}
	foretold := all[0].Causes[0].Impact
	s.exec(shop, "alter system set max_parallel_workers = 8", "select pg_reload_conf()")
	after := judgeLoad(t, s, loaded{clients: 1, lasts: 3 * time.Second, request: []string{sum}}, views[:1]...)
	for _, x := range after[0].bundle.Postgres[0].Statements {
		if strings.Contains(x.Text, "from nap") {
			t.Logf("foretold at best %.2f s of %.2f s, measured %.2f s with workers there", foretold.Then, foretold.Now, x.Mean())
			if x.Launched < 0.9*x.Planned || x.Mean() > 0.7*foretold.Now {
				t.Errorf("with workers there: %+v", x)
			}
		}
	}
}

// TestConnectionLimit lets clients fight for connections with a driver that
// leaves no span of that: what it cost is told by the time before the
// statement. The same load with room enough shows what ending it buys.
func TestConnectionLimit(t *testing.T) { onEach(t, testConnectionLimit) }

func testConnectionLimit(t *testing.T, r release) {
	full := judgeConnections(t, r, "9")
	i := wantCause(t, full, "connection-limit", full.target).Impact
	if len(full.Causes) > 1 {
		t.Errorf("false cause: %s", full.Causes[1].Finding.Text)
	}
	room := judgeConnections(t, r, "100")
	for _, c := range room.Causes {
		if c.Rule.ID == "connection-limit" {
			t.Errorf("with room: %s", c.Finding.Text)
		}
	}
	came := p95Of(full.bundle) - p95Of(room.bundle)
	t.Logf("gain foretold %.0f ms, came %.0f ms", 1000*i.Saved(), 1000*came)
	if i.Saved() <= 0 || i.Saved() > 1.5*came {
		t.Errorf("gain foretold %.0f ms, came %.0f ms", 1000*i.Saved(), 1000*came)
	}
}

func judgeConnections(t *testing.T, r release, limit string) judged {
	t.Helper()
	s := startRelease(t, r, "max_connections = "+limit, "max_wal_senders = 0")
	s.shop().Close(context.Background())
	load := loaded{clients: 18, lasts: 5 * time.Second, fresh: true, silent: true, request: []string{"select pg_sleep(0.5)"}}
	return judgeLoad(t, s, load, view{name: "superuser", dsn: s.dsn("postgres", "shop"), target: fmt.Sprintf("127.0.0.1:%d/shop", s.port)})[0]
}

// TestIndexKeepsTheReportsPromise creates the index that the report proposes
// and runs the same load again: the p95 that was foretold is held against the
// one that came.
func TestIndexKeepsTheReportsPromise(t *testing.T) {
	t.Parallel()
	r := debian15(t)
	s := startRelease(t, r, "max_parallel_workers_per_gather = 0")
	shop := s.shop()
	load := loaded{clients: 4, request: []string{lookup}}
	view := viewsOf(t, s)[:1]
	before := judgeLoad(t, s, load, view...)
	cause := wantCause(t, before[0], "missing-index", "purchase(buyer)")
	s.exec(shop, before[0].bundle.Postgres[0].Advice[0].DDL)
	after := judgeLoad(t, s, load, view...)
	i := cause.Impact
	now := p95Of(after[0].bundle)
	foretold, came := i.Now-i.Then, i.Now-now
	t.Logf("p95 was %.2f ms; foretold %.2f ms, came %.2f ms; gain foretold %.2f ms, came %.2f ms", 1000*i.Now, 1000*i.Then, 1000*now, 1000*foretold, 1000*came)
	if came <= 0 || math.Abs(math.Log10(foretold/came)) > 0.5 {
		t.Errorf("gain foretold %.2f ms, came %.2f ms: not of one sign and order", 1000*foretold, 1000*came)
	}
	for _, c := range after[0].Causes {
		if c.Rule.ID == "missing-index" {
			t.Errorf("still: %s", c.Finding.Text)
		}
	}
}

// p95Of the requests that were recorded, s.
func p95Of(b *evidence.Bundle) float64 {
	var all []float64
	for _, x := range b.Spans {
		if x.Kind == evidence.KindServer {
			all = append(all, float64(x.End-x.Start)/1e9)
		}
	}
	slices.SortFunc(all, cmp.Compare)
	return all[len(all)*95/100]
}
