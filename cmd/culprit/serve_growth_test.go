package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/cmd/culprit/audits"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report/archive"
)

// heldObjects is how many objects an audit may leave behind for good: those of
// its record. A connection that stays open is about fifty.
const heldObjects = 60

// An audit leaves nothing behind but its record: no connection to a source, no
// goroutine, no evidence.
func TestServeHoldsNoAudit(t *testing.T) {
	if testing.Short() {
		t.Skip("audits real sources again and again")
	}
	_, prometheusURL := realPrometheus(t)
	_, jaegerURL := realJaeger(t)
	_, dsn := realPostgres(t)
	config := write(t, "culprit.yaml", fmt.Sprintf(`
targets:
- name: all
  schedule: none
  alerts: [{match: {env: prod}}]
  window: 5m
  watch: 0s
  prometheus: {url: "%s"}
  traces: {url: "%s"}
  postgres: {dsn: "%s"}
`, prometheusURL, jaegerURL, dsn))
	store, stop := auditing(t, config)
	defer stop()
	const rounds = 6
	done := 0
	audit := func() {
		for range rounds {
			auditNow(t, store, done)
			done++
		}
	}
	audit()
	http.DefaultClient.CloseIdleConnections() // the test's own
	goroutines, objects := runtime.NumGoroutine(), liveObjects()
	audit()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	g, o := runtime.NumGoroutine()-goroutines, (liveObjects()-objects)/rounds
	t.Logf("%d audits left %d goroutines and %d objects each", rounds, g, o)
	if g >= rounds || o > heldObjects {
		t.Errorf("%d audits left %d goroutines and %d objects each, want fewer than one and at most %d", rounds, g, o, heldObjects)
	}
}

// auditing is a service at work inside of the test, with its history.
func auditing(t *testing.T, config string) (store archive.Store, stop func()) {
	t.Helper()
	settings, err := readService(config)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := settings.auditTargets("test")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if store, err = archive.OpenDirectory(filepath.Join(t.TempDir(), "history"), log); err != nil {
		t.Fatal(err)
	}
	s := audits.New(audits.Config{Store: store, Targets: targets, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	return store, func() {
		cancel()
		wg.Wait()
		store.Close()
	}
}

// auditNow queues a run of the target "all" and waits for its end, with a report.
func auditNow(t *testing.T, store archive.Store, n int) {
	t.Helper()
	now := time.Now().UTC()
	end := now.Add(-time.Minute) // traces are not waited for
	r := archive.NewRun("all", archive.Alert, fmt.Sprint(n), now.Truncate(time.Second), evidence.Window{Start: end.Add(-5 * time.Minute), End: end})
	r.Added = now
	_, _, err := store.Add(t.Context(), r, archive.Admission{})
	for deadline := now.Add(2 * time.Minute); err == nil && r.State.Open() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r, err = store.Get(t.Context(), r.ID)
	}
	if err != nil || r.State != archive.Done {
		t.Fatalf("%v, %s: %s", err, r.State, r.Reason)
	}
}

func liveObjects() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapObjects)
}
