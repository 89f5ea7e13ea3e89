package postgres

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestRestartWhileSampling(t *testing.T) { onEach(t, testRestartWhileSampling) }

func testRestartWhileSampling(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		s.lookUp(40)
		s.stop()
		time.Sleep(600 * time.Millisecond)
		s.start()
		s.awaitRow(weAreConnected)
		s.lookUp(40)
		time.Sleep(time.Second)
	})
	wantGap(t, b, "restarted at")
	wantNote(t, b, "lost the server")
	p := b.Postgres[0]
	if st := statement(t, p, "buyer = ?"); st.Calls != 80 {
		t.Errorf("a clean restart keeps the statements: %+v", st)
	}
	last := int64(0)
	for _, w := range p.Activity {
		last = max(last, w.At)
	}
	if p.Ticks < 10 || last < p.Server.StartedAt-1000 {
		t.Errorf("nothing seen after the restart: %d ticks, last %d, started %d", p.Ticks, last, p.Server.StartedAt)
	}
}

func TestCrashWhileSampling(t *testing.T) { onEach(t, testCrashWhileSampling) }

func testCrashWhileSampling(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		s.lookUp(40)
		s.crash()
		s.start()
		s.lookUp(30)
	})
	wantGap(t, b, "restarted at")
	wantGap(t, b, "the database's statistics were reset or discarded")
	// The extension saved its entries, the statistics system discarded its own.
	if st := statement(t, b.Postgres[0], "buyer = ?"); st.Calls != 70 {
		t.Errorf("statement %+v", st)
	}
	// what the sampler did since cannot be told from what it did before
	if d := b.Postgres[0].Database; d.Commits > 50+float64(b.Postgres[0].Ticks) || d.Commits < 30 {
		t.Errorf("database %+v", d)
	}
}

func TestGoneForGood(t *testing.T) { onEach(t, testGoneForGood) }

func testGoneForGood(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Timeout: time.Second}), func() {
		s.lookUp(100)
		s.stop()
	})
	wantGap(t, b, "no snapshot after the window")
	if b.Postgres[0].Ticks == 0 || len(b.Postgres[0].Statements) != 0 {
		t.Errorf("%d ticks", b.Postgres[0].Ticks)
	}
}

func TestResetDuringRun(t *testing.T) { onEach(t, testResetDuringRun) }

func testResetDuringRun(t *testing.T, r release) {
	s := startRelease(t, r)
	conn := s.shop()
	s.lookUp(50)
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		s.lookUp(40)
		s.exec(conn, "select pg_stat_statements_reset()", "select pg_stat_reset()")
		s.lookUp(20)
	})
	wantGap(t, b, "pg_stat_statements was reset at")
	wantGap(t, b, "the database's statistics were reset or discarded")
	p := b.Postgres[0]
	if st := statement(t, p, "buyer = ?"); st.Calls != 20 {
		t.Errorf("statement %+v", st)
	}
	if p.Database.Commits > 150 || p.Database.ActiveTime < 0 { // a session that ended may report after the reset
		t.Errorf("database %+v", p.Database)
	}
}

func TestEvictions(t *testing.T) { onEach(t, testEvictions) }

func testEvictions(t *testing.T, r release) {
	s := startRelease(t, r, "pg_stat_statements.max = 100")
	conn := s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		for i := range 300 {
			s.exec(conn, "select 1"+strings.Repeat(", 1", i))
		}
	})
	wantGap(t, b, "pg_stat_statements.max")
}

// TestTooManyClients takes the sampler's connections away and lets it have none
// for a while, by the limit of its role: the same SQLSTATE, 53300, as for the
// server's limit, without a race for the last slot.
func TestTooManyClients(t *testing.T) { onEach(t, testTooManyClients) }

func testTooManyClients(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	boss := s.connect("postgres", "postgres")
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		s.awaitRow(weAreConnected)
		s.exec(boss, "alter role reader connection limit 0", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'culprit'")
		s.await("a refusal", func() bool { return strings.Contains(s.log(), `too many connections for role "reader"`) })
		s.exec(boss, "alter role reader connection limit -1")
		s.awaitRow(weAreConnected)
		time.Sleep(2 * time.Second)
	})
	p := b.Postgres[0]
	if p.Refused == 0 || p.Ticks == 0 || len(b.Series) != 2 {
		t.Errorf("refused %d, ticks %d, series %d, notes %q", p.Refused, p.Ticks, len(b.Series), b.Sources[0].Notes)
	}
	wantNote(t, b, "too many connections")
}

// TestHungNetwork stops the bytes, not the connections.
func TestHungNetwork(t *testing.T) { onEach(t, testHungNetwork) }

func testHungNetwork(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	p := startProxy(t, s)
	c := newCollector(t, Config{DSN: fmt.Sprintf("postgres://reader@%s/shop?sslmode=disable", p.address), Timeout: time.Second})
	start := time.Now()
	b := run(t, c, func() {
		s.lookUp(40)
		time.Sleep(300 * time.Millisecond)
		p.hang.Store(true)
		time.Sleep(1500 * time.Millisecond)
	})
	wantGap(t, b, "no answer within 1s")
	if d := time.Since(start); d > 15*time.Second || b.Postgres[0].Ticks == 0 {
		t.Errorf("took %s, %d ticks", d, b.Postgres[0].Ticks)
	}
}

type proxy struct {
	address string
	hang    atomic.Bool
}

func startProxy(t *testing.T, s *server) *proxy {
	t.Helper()
	p := &proxy{}
	p.address = answer(t, func(from net.Conn) {
		to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err != nil {
			return
		}
		defer to.Close()
		go p.copy(to, from)
		p.copy(from, to)
	})
	return p
}

func (p *proxy) copy(to, from net.Conn) {
	buffer := make([]byte, 32768)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.hang.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestLockQueue(t *testing.T) { onEach(t, testLockQueue) }

func testLockQueue(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	ctx := context.Background()
	holder, ddl, reader := s.connect("postgres", "shop"), s.connect("postgres", "shop"), s.connect("postgres", "shop")
	s.exec(holder, "set application_name = 'holder'")
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		s.exec(holder, "begin", "select n from counter where id = 4242")
		var wg sync.WaitGroup
		waiting := 0
		later := func(conn *pgx.Conn, sql string) {
			wg.Go(func() { _, _ = conn.Exec(ctx, sql) })
			waiting++
			s.awaitRow(someWait, waiting)
		}
		later(ddl, "alter table counter add column extra int")
		later(reader, "select n from counter where id = 7")
		time.Sleep(2500 * time.Millisecond)
		s.exec(holder, "rollback")
		wg.Wait()
	})
	p := b.Postgres[0]
	var root, queued bool
	for _, e := range p.Blocking {
		if e.Relation != "counter" || e.LockType != "relation" || e.MaxWait < 1 || e.Samples < 2 {
			t.Errorf("edge %+v", e)
		}
		if strings.Contains(e.BlockerText, "4242") {
			t.Errorf("a literal was kept: %+v", e)
		}
		root = root || e.BlockerState == "idle in transaction" && e.BlockerApp == "holder" && e.Mode == "AccessExclusiveLock" && e.MaxBlockerTx > 1 && e.MaxBlockerIdle > 1
		queued = queued || e.BlockerState == "active" && strings.HasPrefix(e.BlockerText, "alter table") && e.Mode == "AccessShareLock"
	}
	if !root || !queued {
		t.Errorf("edges %+v", p.Blocking)
	}
	waits := 0
	for _, w := range p.Activity {
		if w.WaitType == "Lock" && w.Wait == "relation" {
			waits += w.Sessions
		}
	}
	if waits < 20 {
		t.Errorf("%d sightings of the queue: %+v", waits, p.Activity)
	}
}

func TestHotRow(t *testing.T) { onEach(t, testHotRow) }

func testHotRow(t *testing.T, r release) {
	s := startRelease(t, r)
	s.shop()
	b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() {
		conns := make([]*pgx.Conn, 6)
		for i := range conns {
			conns[i] = s.connect("postgres", "shop") // all before the first asks for the row
		}
		var wg sync.WaitGroup
		stop := time.Now().Add(3 * time.Second)
		for _, conn := range conns {
			wg.Go(func() {
				for time.Now().Before(stop) {
					_, _ = conn.Exec(context.Background(), "begin")
					_, _ = conn.Exec(context.Background(), "update counter set n = n + 1 where id = $1", 1)
					time.Sleep(3 * time.Millisecond)
					_, _ = conn.Exec(context.Background(), "commit")
				}
			})
		}
		wg.Wait()
	})
	p := b.Postgres[0]
	named := false
	for _, e := range p.Blocking {
		named = named || e.Relation == "counter" && (e.LockType == "transactionid" || e.LockType == "tuple")
	}
	if !named {
		t.Errorf("no edge names the table: %+v", p.Blocking)
	}
	update := statement(t, p, "update counter")
	if !sawWait(p, "Lock", update.QueryID) {
		t.Errorf("activity %+v", p.Activity)
	}
}

func sawWait(p evidence.Postgres, kind, id string) bool {
	for _, w := range p.Activity {
		if w.WaitType == kind && w.QueryID == id {
			return true
		}
	}
	return false
}
