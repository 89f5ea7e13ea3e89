package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/testdata/needs"
)

// postgresBin is where Debian keeps the server's programs.
const postgresBin = "/usr/lib/postgresql/15/bin"

// The command against a real PostgreSQL that shows less than it could: every
// time a report, with a gap that says what to run. The library of
// pg_stat_statements is loaded; one database lacks the extension.
func TestPoorPostgres(t *testing.T) {
	port := startPostgres(t)
	dsn := func(role, password, database string) string {
		return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", role, password, port, database)
	}
	psql(t, dsn("postgres", canary, "postgres"), "create database shop", "create role bare login password '"+canary+"'",
		"create role watcher login password '"+canary+"'", "grant pg_monitor to watcher")
	psql(t, dsn("postgres", canary, "shop"), "create extension pg_stat_statements")

	for name, c := range map[string]struct {
		dsn, remedy string
		status      evidence.Status
	}{
		"without pg_stat_statements": {dsn("watcher", canary, "postgres"), "CREATE EXTENSION pg_stat_statements;", evidence.StatusPartial},
		"bare role":                  {dsn("bare", canary, "shop"), "GRANT pg_monitor TO bare;", evidence.StatusPartial},
		"wrong password":             {dsn("watcher", canary+"-wrong", "shop"), "", evidence.StatusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := culprit(t, "run", "--postgres", c.dsn, "--load", write(t, "s.json", k6Summary), "--settle", "0", "-o", dir, "--", "sleep", "1")
			if o.code != exitOK {
				t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
			}
			holdGap(t, readReport(t, dir), c.status, c.remedy)
			for _, file := range []string{"report.md", "report.html", "report.json", bundleName} {
				if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || strings.Contains(string(text), canary) {
					t.Errorf("%s shows the password, or is missing: %v", file, err)
				}
			}
		})
	}
	t.Run("wrong password alone", func(t *testing.T) {
		t.Parallel()
		o := culprit(t, "analyze", "--postgres", dsn("watcher", canary+"-wrong", "shop"), "--since", "5m")
		o.wantError(t, exitFailed, "no source could be read: postgres")
		if !strings.Contains(o.stdout, "password") || !strings.Contains(o.stdout, "failed") {
			t.Errorf("the report does not say why:\n%s", o.stdout)
		}
	})
	t.Run("what reports show runs", func(t *testing.T) {
		t.Parallel()
		psql(t, dsn("watcher", canary, "shop"), shownQueries(t)...)
	})
	t.Run("check", func(t *testing.T) {
		t.Parallel()
		o := culprit(t, "check", "--postgres", dsn("bare", canary, "shop"))
		if !strings.Contains(o.stdout, "GRANT pg_monitor TO bare;") {
			t.Errorf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
		}
	})
}

// shownQueries are the SQL that recorded reports show a reader, to run it
// again.
func shownQueries(t *testing.T) []string {
	t.Helper()
	queries := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				collect(e)
			}
		case map[string]any:
			if query, ok := x["text"].(string); ok && x["source"] == "postgres" && x["shows"] != nil && !strings.HasPrefix(query, "SHOW ") {
				queries[query] = true
			}
			for _, e := range x {
				collect(e)
			}
		}
	}
	for _, run := range recordedRuns(t) {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(run), "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var report any
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		collect(report)
	}
	if len(queries) < 10 {
		t.Fatalf("only %d queries are shown", len(queries))
	}
	return slices.Sorted(maps.Keys(queries))
}

// holdGap wants PostgreSQL's status, and a gap with the remedy; "" for any
// remedy at all.
func holdGap(t *testing.T, r *report.Report, status evidence.Status, remedy string) {
	t.Helper()
	for _, c := range r.Coverage {
		if c.Source != "postgres" {
			continue
		}
		if c.Status != status {
			t.Errorf("status %s, want %s", c.Status, status)
		}
		for _, g := range c.Gaps {
			if g.Reason != "" && g.Remedy != "" && strings.Contains(g.Remedy, remedy) {
				return
			}
		}
	}
	t.Errorf("no gap whose remedy has %q: %+v", remedy, r.Coverage)
}

func psql(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// startPostgres starts a server that wants passwords, on a free loopback
// port. It skips where there is none, and fails on CI.
func startPostgres(t *testing.T) (port int) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(postgresBin, "initdb")); err != nil {
		needs.Missing(t, "no PostgreSQL in "+postgresBin+": apt-get install postgresql-15")
	}
	base := t.TempDir()
	data, attr := filepath.Join(base, "data"), needs.PostgresOwner(t, base)
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(postgresBin, name), args...)
		cmd.Dir, cmd.SysProcAttr = "/", attr
		return cmd
	}
	secret := filepath.Join(base, "password")
	if err := os.WriteFile(secret, []byte(canary), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := program("initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port = needs.FreePort(t)
	server := program("postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "shared_preload_libraries=pg_stat_statements")
	var log buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endPostgres(server) })
	awaitPostgres(t, port, data, &log)
	return port
}

// awaitPostgres waits until what answers is the server of the test.
func awaitPostgres(t *testing.T, port int, data string, log *buffer) {
	t.Helper()
	ask := func() (dir string, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", canary, port))
		if err != nil {
			return "", err
		}
		defer conn.Close(ctx)
		err = conn.QueryRow(ctx, "show data_directory").Scan(&dir)
		return dir, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		dir, err := ask()
		if err == nil && dir == data {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no server of ours on port %d (%q, %v)\n%s", port, dir, err, log.String())
		}
	}
}

// endPostgres ends the server fast, by its process, and at once if it hangs.
func endPostgres(server *exec.Cmd) {
	_ = server.Process.Signal(syscall.SIGINT)
	kill := time.AfterFunc(10*time.Second, func() { _ = server.Process.Kill() })
	defer kill.Stop()
	_ = server.Wait()
}
