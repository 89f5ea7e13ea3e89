package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/servers"
)

// TestTheLabComesUpAndLeavesNothingBehind brings the real lab up, with a fault,
// looks at each of its three witnesses, and takes it down.
func TestTheLabComesUpAndLeavesNothingBehind(t *testing.T) {
	requirePrograms(t)
	dir := labFolder(t)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"up", "n-plus-one", "--dir", dir}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Down(dir); err != nil {
			t.Error(err)
		}
	})
	state, err := servers.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), state.Addresses.Gateway) {
		t.Errorf("up does not say where the gateway is: %s", out.String())
	}
	t.Run("a second lab in the folder is refused", func(t *testing.T) {
		if err := run(t.Context(), []string{"up", "--dir", dir}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "down first") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("metrics of every target", func(t *testing.T) { checkTargets(t, state) })
	t.Run("traces across services", func(t *testing.T) { checkTraces(t, state) })
	t.Run("statements of the database", func(t *testing.T) { checkStatements(t, state) })
	t.Run("sessions of others", func(t *testing.T) { checkSessions(t, state) })
	if err := run(t.Context(), []string{"down", "--dir", dir}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	checkNothingLeft(t, state)
}

// A matrix that was ended goes on with what is not there yet.
func TestKeptRunsAreNotRepeated(t *testing.T) {
	requirePrograms(t)
	kept := t.TempDir()
	for _, path := range []string{"healthy/1.culprit", "healthy/2.culprit", "n-plus-one/1.culprit"} {
		file := filepath.Join(kept, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("as it was"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "lab")
	if err := os.Mkdir(dir, 0o755); err != nil { // so that a run that is begun fails at once
		t.Fatal(err)
	}
	args := func(repeat string) []string {
		return []string{"-dir", dir, "-no-culprit", "-bundles", kept, "-repeat", repeat, "matrix", "healthy", "n-plus-one"}
	}
	if err := run(t.Context(), args("1"), io.Discard, io.Discard); err != nil {
		t.Errorf("what was there was run again: %v", err)
	}
	if err := run(t.Context(), args("2"), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "scenario n-plus-one") {
		t.Errorf("the second run of n-plus-one is missing, and the error is %v", err)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{{}, {"dance"}, {"run"}, {"run", "no-such-scenario", "--no-culprit"}, {"up", "--no-such-flag"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); !errors.As(err, &usageError{}) {
			t.Errorf("lab %v: error is %v, want one of usage", args, err)
		}
	}
}

// requirePrograms skips where the lab cannot run, but never in CI.
func requirePrograms(t *testing.T) {
	t.Helper()
	a := &app{err: io.Discard}
	if _, err := a.find(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// labFolder is one that the user of PostgreSQL can reach; t.TempDir is not.
func labFolder(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "culprit-lab-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "lab")
}

// eventually tries until there is no error, as telemetry is never at once.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for range 60 {
		if err = try(); err == nil {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Error(err)
}

func get(t *testing.T, url string, into any) error {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

func checkTargets(t *testing.T, state *servers.State) {
	eventually(t, func() error {
		var answer struct {
			Data struct {
				ActiveTargets []struct {
					Labels    map[string]string
					Health    string
					LastError string
				}
			}
		}
		if err := get(t, state.Addresses.Prometheus+"/api/v1/targets", &answer); err != nil {
			return err
		}
		if len(answer.Data.ActiveTargets) < 7 {
			return fmt.Errorf("%d targets", len(answer.Data.ActiveTargets))
		}
		for _, target := range answer.Data.ActiveTargets {
			if target.Health != "up" {
				return fmt.Errorf("%s is %s: %s", target.Labels["job"], target.Health, target.LastError)
			}
		}
		return nil
	})
}

func checkTraces(t *testing.T, state *servers.State) {
	eventually(t, func() error {
		var answer struct {
			Data []struct {
				Spans     []struct{ OperationName string }
				Processes map[string]struct{ ServiceName string }
			}
		}
		if err := get(t, state.Addresses.Traces+"/api/traces?service=payments&lookback=1h&limit=1", &answer); err != nil {
			return err
		}
		if len(answer.Data) == 0 {
			return errors.New("no trace of payments")
		}
		services := map[string]bool{}
		for _, process := range answer.Data[0].Processes {
			services[process.ServiceName] = true
		}
		if !services["gateway"] || !services["orders"] || !services["payments"] {
			return fmt.Errorf("the trace joins %v, want gateway, orders and payments", services)
		}
		return nil
	})
}

func checkStatements(t *testing.T, state *servers.State) {
	conn, err := pgx.Connect(t.Context(), state.Addresses.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var calls int64
	const lookups = `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query = 'SELECT name FROM products WHERE id = $1'`
	if err := conn.QueryRow(t.Context(), lookups).Scan(&calls); err != nil {
		t.Fatal(err)
	}
	if calls < 100 {
		t.Errorf("%d lookups of products: the fault does not show", calls)
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM orders"); err == nil {
		t.Error("the role that is meant to watch may write")
	}
}

// checkSessions holds a transaction open beside the load, ends it, and sees
// that one that fails says so.
func checkSessions(t *testing.T, state *servers.State) {
	conn, err := pgx.Connect(t.Context(), state.Addresses.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	open := func(want int) error {
		var n int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'report' AND state = 'idle in transaction'").Scan(&n)
		if err == nil && n != want {
			err = fmt.Errorf("%d sessions are idle in a transaction, want %d", n, want)
		}
		return err
	}
	end := load.Beside(t.Context(), state.Addresses.Owner, []scenario.Session{{Name: "report", SQL: []string{"BEGIN", "SELECT count(*) FROM orders"}, Hold: time.Hour}})
	eventually(t, func() error { return open(1) })
	if err := end(); err != nil {
		t.Error(err)
	}
	eventually(t, func() error { return open(0) })
	failing := []scenario.Session{{Name: "report", SQL: []string{"SELECT no_such_column FROM orders"}}}
	eventually(t, func() error {
		end := load.Beside(t.Context(), state.Addresses.Owner, failing)
		time.Sleep(100 * time.Millisecond)
		if err := end(); err == nil || !strings.Contains(err.Error(), "no_such_column") {
			return fmt.Errorf("error is %v", err)
		}
		return nil
	})
}

func checkNothingLeft(t *testing.T, state *servers.State) {
	for _, p := range state.Processes {
		if err := syscall.Kill(p.PID, 0); err == nil {
			if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID)); !strings.Contains(string(text), ") Z ") {
				t.Errorf("%s (%d) still runs", p.Name, p.PID)
			}
		}
	}
	for _, path := range append(state.Cgroups, state.Dir) {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}
