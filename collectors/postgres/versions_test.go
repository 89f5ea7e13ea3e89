package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/needs"
)

func Test18(t *testing.T) {
	t.Parallel()
	s := startRelease(t, npm18(t), "fsync = on")
	shop := s.shop()
	s.exec(shop, "create table ticket (token uuid not null default uuidv7(), buyer bigint not null)", "create unique index ticket_token on ticket (token)", "insert into ticket (buyer) select i from generate_series(1, 2000) i", "vacuum analyze ticket")
	c := newCollector(t, Config{DSN: s.dsn("postgres", "shop"), Explain: true})
	b := run(t, c, func() {
		s.lookUp(60)
		s.exec(shop, "select id from purchase where id in (1, 2, 3)", "select id from purchase where id in (4, 5)", "insert into ticket (buyer) values (1)")
		time.Sleep(1100 * time.Millisecond)
		s.exec(shop, "select 1")
	})
	p := b.Postgres[0]
	if p.Server.Version < 180000 || p.Server.Statements != "1.12" {
		t.Errorf("server %+v", p.Server)
	}
	if st := statement(t, p, "buyer = ?"); st.Calls != 60 || st.BlocksPerCall() < 500 || len(st.Flags) > 0 {
		t.Errorf("statement %+v", st)
	}
	if st := statement(t, p, "id in (?)"); st.Calls != 2 {
		t.Errorf("lists of any length are one statement on 18: %+v", st)
	}
	if p.Database == nil || p.Database.WALSyncs == 0 {
		t.Errorf("flushes of the log are counted in pg_stat_io: %+v", p.Database)
	}
	for _, i := range p.Indexes {
		if i.Name == "ticket_token" && !i.Monotonic {
			t.Errorf("index %+v", i)
		}
	}
	for _, g := range b.Gaps {
		if !strings.Contains(g.Reason, "hypopg") {
			t.Errorf("gap %+v", g)
		}
	}
	checkActivity(t, p, statement(t, p, "buyer = ?"))
}

// startBouncer puts PgBouncer in transaction mode before a server.
func startBouncer(t *testing.T, s *server, lines ...string) (port int) {
	t.Helper()
	bin, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		needs.Missing(t, "no pgbouncer: apt-get install pgbouncer")
	}
	port = needs.FreePort(t)
	dir := filepath.Dir(s.data)
	ini := append([]string{
		"[databases]", fmt.Sprintf("shop = host=127.0.0.1 port=%d", s.port), "[pgbouncer]", "listen_addr = 127.0.0.1", fmt.Sprintf("listen_port = %d", port),
		"unix_socket_dir =", "auth_type = trust", "auth_file = " + filepath.Join(dir, "users.txt"), "pool_mode = transaction",
	}, lines...)
	for name, text := range map[string]string{"bouncer.ini": strings.Join(ini, "\n") + "\n", "users.txt": `"postgres" ""` + "\n" + `"reader" ""` + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin, filepath.Join(dir, "bouncer.ini"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	log, err := os.Create(s.bouncerLog())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return port
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("pgbouncer does not answer")
	return 0
}

func (s *server) bouncerLog() string { return filepath.Join(filepath.Dir(s.data), "bouncer.log") }

// TestOldExtension installs the extension as PostgreSQL 12 had it, with other
// names of columns, no record of resets and no top level. That release itself
// cannot be had; a database keeps this version of the extension through every
// upgrade until somebody updates it, on 15 and on 18 alike.
func TestOldExtension(t *testing.T) {
	onEach(t, func(t *testing.T, r release) {
		s := startRelease(t, r)
		s.exec(s.shop(), "drop extension pg_stat_statements", "create extension pg_stat_statements version '1.7'")
		s.lookUp(5)
		b := run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop")}), func() { s.lookUp(40) })
		p := b.Postgres[0]
		if st := statement(t, p, "buyer = ?"); p.Server.Statements != "1.7" || st.Calls != 40 || st.Exec <= 0 || st.StddevExec <= 0 || !st.TopLevel {
			t.Errorf("extension %s, statement %+v", p.Server.Statements, st)
		}
		for _, g := range b.Gaps {
			if r.hypopg || !strings.Contains(g.Reason, "hypopg") {
				t.Errorf("gap %+v", g)
			}
		}
	})
}

func TestThroughPooler(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"refuses start-up parameters":  nil,
		"swallows start-up parameters": {"ignore_startup_parameters = default_transaction_read_only,statement_timeout,lock_timeout,idle_in_transaction_session_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, "log_statement = all")
			s.shop()
			port := startBouncer(t, s, lines...)
			busy, err := pgx.Connect(context.Background(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/shop?sslmode=disable&default_query_exec_mode=exec", port))
			if err != nil {
				t.Fatal(err)
			}
			defer busy.Close(context.Background())
			c := newCollector(t, Config{DSN: fmt.Sprintf("postgres://reader@127.0.0.1:%d/shop?sslmode=disable", port), Explain: true})
			b := run(t, c, func() {
				s.lookUp(100)
				s.exec(busy, "select 42")
			})
			p := b.Postgres[0]
			if st := statement(t, p, "buyer = ?"); st.Calls != 100 || p.Ticks < 3 || len(p.Advice) != 1 || !p.Advice[0].Verified {
				t.Errorf("statement %+v, %d ticks, advice %+v, gaps %+v", st, p.Ticks, p.Advice, b.Gaps)
			}
			wantNote(t, b, "a pooler is in between")
			if !strings.Contains(s.log(), "set /* culprit */ local statement_timeout") {
				t.Error("the limits were not set in the transactions")
			}
			holdHarmless(t, s.log())
		})
	}
}
