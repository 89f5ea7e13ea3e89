package postgres

import (
	"bytes"
	"context"
	"fmt"
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

// server is a real PostgreSQL of a test's own, on a free loopback port.
type server struct {
	t testing.TB
	release
	data string
	port int
	cred *syscall.Credential
	cmd  *exec.Cmd
}

func (s *server) init() {
	s.t.Helper()
	s.run("initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// copyFrom takes a stopped server's data directory, which is many times
// faster than to make and fill one.
func (s *server) copyFrom(data string) {
	s.t.Helper()
	if out, err := exec.Command("cp", "-a", "--", data, s.data).CombinedOutput(); err != nil {
		s.t.Fatalf("copy the prepared server: %v %s", err, out)
	}
}

// owner is whom the server runs as: PostgreSQL refuses root.
func (s *server) owner() {
	if attr := needs.PostgresOwner(s.t, filepath.Dir(s.data)); attr != nil {
		s.cred = attr.Credential
	}
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

func (s *server) run(name string, args ...string) {
	s.t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (s *server) configure(lines []string) {
	base := []string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", s.port), "unix_socket_directories = ''", "fsync = off", "shared_buffers = '64MB'",
		"shared_preload_libraries = 'pg_stat_statements'", "compute_query_id = on", "track_io_timing = on", "track_wal_io_timing = on",
		"logging_collector = off", "log_line_prefix = '%a|%p|'", "autovacuum_naptime = 5",
	}
	f, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, strings.Join(append(base, lines...), "\n"))
}

func (s *server) logPath() string { return filepath.Join(filepath.Dir(s.data), "server.log") }

// start runs the server and waits until what answers is ours.
func (s *server) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = s.command("postgres", "-D", s.data)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		dir, err := s.dataDirectory()
		if err == nil && dir == s.data {
			return
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(s.logPath())
			s.t.Fatalf("no server of ours on port %d (%q, %v)\n%s", s.port, dir, err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *server) dataDirectory() (dir string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres", "postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "show data_directory").Scan(&dir)
	return dir, err
}

// stop ends the server fast, by its process id, and at once where it hangs.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	kill := time.AfterFunc(15*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	kill.Stop()
	s.cmd = nil
}

func (s *server) dsn(role, database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, s.port, database)
}

// connect opens a connection that ends with the test.
func (s *server) connect(role, database string) *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.dsn(role, database))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *server) exec(conn *pgx.Conn, statements ...string) {
	s.t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// await what a test needs, on a machine of any speed.
func (s *server) await(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited a minute for %s", what)
		}
	}
}

// awaitRow waits until a query, of a session of its own, is true.
func (s *server) awaitRow(sql string, args ...any) {
	s.t.Helper()
	conn := s.connect("postgres", "postgres")
	defer conn.Close(context.Background())
	s.await(sql, func() (is bool) {
		if err := conn.QueryRow(context.Background(), sql, args...).Scan(&is); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
		return is
	})
}

const (
	weAreConnected = "select count(*) > 0 from pg_stat_activity where application_name = 'culprit'"
	someWait       = "select count(*) = $1 from pg_locks where not granted"
	isSet          = "select setting = $2 from pg_settings where name = $1"
)

// log is what the server has written so far.
func (s *server) log() string {
	out, err := os.ReadFile(s.logPath())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(bytes.ToValidUTF8(out, []byte("?")))
}

// shop puts the prepared database in its place and connects to it.
func (s *server) shop() *pgx.Conn {
	s.t.Helper()
	boss, err := pgx.Connect(context.Background(), s.dsn("postgres", "postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer boss.Close(context.Background())
	s.exec(boss, "alter database shop_to_be rename to shop")
	return s.connect("postgres", "shop")
}

// fill makes roles and a database with enough rows for an index to matter and
// with planted shapes: a missing index, indexes that grow at the end, a skewed
// column.
func (s *server) fill() {
	s.t.Helper()
	for _, step := range []struct {
		database   string
		statements []string
	}{
		{"postgres", []string{"create role watcher login", "grant pg_monitor to watcher", "create role bare login", "create role app login", "create role reader login", "grant pg_monitor, pg_read_all_data to reader", "create database shop_to_be"}},
		{"shop_to_be", []string{"create extension pg_stat_statements", "do $$ begin if exists(select from pg_available_extensions where name = 'hypopg') then create extension hypopg; end if; end $$",
			`create table purchase (id bigserial primary key, buyer bigint not null, made timestamptz not null default now(), state text not null, note text not null)`,
			`insert into purchase (buyer, state, note) select (i * 7919) % 20000, case when i % 100 = 0 then 'open' else 'done' end, repeat('x', 60) from generate_series(1, 120000) i`,
			`create index purchase_made on purchase (made)`, `create index purchase_state on purchase (state)`,
			`create table counter (id int primary key, n bigint not null)`, `insert into counter select i, 0 from generate_series(1, 10) i`,
			`grant all on all tables in schema public to app`, `grant all on schema public to app`, `alter default privileges in schema public grant all on tables to app`, `alter default privileges in schema public grant all on sequences to app`,
			`vacuum analyze`}},
	} {
		conn, err := pgx.Connect(context.Background(), s.dsn("postgres", step.database))
		if err != nil {
			s.t.Fatal(err)
		}
		s.exec(conn, step.statements...)
		_ = conn.Close(context.Background())
	}
}

func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.data, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// crash ends the server without a shutdown, so that it has to recover.
func (s *server) crash() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// standby is a second server that follows this one, from a copy of its data
// taken while it is stopped: pg_basebackup does not come with every release.
func (s *server) standby() *server {
	s.t.Helper()
	o := *s
	o.data, o.port, o.cmd = filepath.Join(s.t.TempDir(), "standby"), needs.FreePort(s.t), nil
	o.owner()
	s.stop()
	o.copyFrom(s.data)
	s.start()
	o.write("standby.signal", "")
	o.configure([]string{fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres'", s.port)})
	o.start()
	s.t.Cleanup(o.stop)
	return &o
}
