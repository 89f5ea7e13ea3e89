package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func planned(target string, minute int) Run {
	slot := start.Add(time.Duration(minute) * time.Minute)
	r := NewRun(target, Schedule, slot.Format(time.RFC3339), slot, evidence.Window{Start: slot.Add(-time.Hour), End: slot})
	r.Added = slot
	return r
}

func alerted(target, group string, minute int) Run {
	at := start.Add(time.Duration(minute) * time.Minute)
	r := NewRun(target, Alert, group+"/"+at.Format(time.RFC3339), at, evidence.Window{Start: at.Add(-time.Hour), End: at})
	r.Group, r.Added = group, at
	return r
}

// stores gives both, so that they are held to one behaviour.
func stores(t *testing.T, f func(t *testing.T, s Store)) {
	t.Run("directory", func(t *testing.T) { f(t, openDirectory(t, t.TempDir())) })
	t.Run("postgres", func(t *testing.T) {
		s := openPostgres(t, startPostgres(t))
		f(t, s)
	})
}

func openDirectory(t *testing.T, path string) Store {
	t.Helper()
	s, err := OpenDirectory(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openPostgres(t *testing.T, dsn string) Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func add(t *testing.T, s Store, r Run, a Admission, want Outcome) Run {
	t.Helper()
	stands, got, err := s.Add(t.Context(), r, a)
	if err != nil || got != want {
		t.Fatalf("adding %s: %s, %v; want %s", r.Key, got, err, want)
	}
	return stands
}

func take(t *testing.T, s Store, owner, target string) Run {
	t.Helper()
	r, err := s.Take(t.Context(), owner)
	if target == "" {
		if !errors.Is(err, ErrNone) {
			t.Fatalf("took %s, %v; want nothing", r.Key, err)
		}
		return r
	}
	if err != nil || r.Target != target || r.State != Running || r.Owner != owner || r.Began.IsZero() {
		t.Fatalf("took %+v, %v; want a run of %s", r, err, target)
	}
	return r
}

func finish(t *testing.T, s Store, r Run, report string, want error) {
	t.Helper()
	r.State, r.Reported, r.Ended = Done, report != "", r.Slot.Add(time.Minute)
	var text []byte
	if report != "" {
		text = []byte(report)
	}
	if err := s.Finish(t.Context(), r, text); !errors.Is(err, want) {
		t.Fatalf("finishing %s: %v, want %v", r.Key, err, want)
	}
}

func TestRunsLife(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		any := Admission{}
		first := add(t, s, planned("shop", 0), any, Added)
		add(t, s, planned("shop", 0), any, Known)
		if r := add(t, s, planned("shop", 1), any, Overlap); r.State != Skipped || !strings.Contains(r.Reason, "2026-11-20T12:00:00Z was still queued") {
			t.Errorf("overlapping: %s, %q", r.State, r.Reason)
		}
		add(t, s, planned("till", 0), any, Added)
		add(t, s, alerted("shop", "g1", 2), any, Added)

		mine := take(t, s, "me", "shop")
		take(t, s, "me", "till")
		take(t, s, "me", "") // an alert of shop waits, and shop is busy
		if queued, running, err := s.Depth(t.Context()); queued != 1 || running != 2 || err != nil {
			t.Errorf("%d queued, %d running, %v", queued, running, err)
		}
		other := mine
		other.Owner = "you"
		finish(t, s, other, "{}", ErrLost)
		finish(t, s, mine, `{"a":1}`, nil)
		finish(t, s, mine, `{"a":2}`, ErrLost)
		if text, err := s.Report(t.Context(), first.ID); err != nil || string(text) != `{"a":1}` {
			t.Errorf("the report is %q, %v", text, err)
		}
		if r := take(t, s, "me", "shop"); r.Trigger != Alert {
			t.Errorf("took %s, want the alert", r.Key)
		} else if err := s.Release(t.Context(), r); err != nil {
			t.Error(err)
		} else if again := take(t, s, "you", "shop"); again.Attempt != 1 || again.Key != r.Key {
			t.Errorf("a run that was put back comes as %+v", again)
		}
		got, err := s.Get(t.Context(), first.ID)
		if err != nil || got.State != Done || !got.Slot.Equal(first.Slot) || !got.Reported {
			t.Errorf("%+v, %v", got, err)
		}
		for _, unknown := range []string{"no-such", "../../etc/passwd", ""} {
			if _, err := s.Report(t.Context(), unknown); !errors.Is(err, ErrUnknown) {
				t.Errorf("report %q: %v", unknown, err)
			}
		}
		runs, err := s.Runs(t.Context(), Query{Target: "shop", Trigger: Schedule, States: []State{Done, Skipped}, Before: start.Add(time.Hour)})
		if err != nil || len(runs) != 2 || runs[0].State != Skipped || runs[1].State != Done {
			t.Errorf("%+v, %v", runs, err)
		}
		if runs, err = s.Runs(t.Context(), Query{Limit: 1}); err != nil || len(runs) != 1 || runs[0].Trigger != Alert {
			t.Errorf("%+v, %v", runs, err)
		}
	})
}

func TestAdmission(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		a := Admission{Queue: 2, Cooldown: 15 * time.Minute}
		add(t, s, alerted("shop", "g1", 0), a, Added)
		add(t, s, alerted("shop", "g1", 14), a, Cooling)
		add(t, s, alerted("shop", "g1", 15), a, Added)
		add(t, s, alerted("shop", "g2", 15), a, Full)
		add(t, s, planned("shop", 15), a, Added) // a schedule is bounded by its targets
		missed := planned("shop", 16)
		missed.State = Missed
		if r := add(t, s, missed, a, Added); r.State != Missed {
			t.Errorf("a missed run stands as %s", r.State)
		}
		take(t, s, "me", "shop")
		add(t, s, alerted("till", "g2", 15), a, Full)
	})
}

// However many ask at once, a run is added once, and taken once.
func TestOneOfMany(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		const many = 40
		var mu sync.Mutex
		outcomes, owners := map[Outcome]int{}, []string{}
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				_, o, err := s.Add(t.Context(), planned("shop", 0), Admission{})
				r, taken := s.Take(t.Context(), fmt.Sprint(i))
				mu.Lock()
				defer mu.Unlock()
				if outcomes[o]++; err != nil {
					t.Error(err)
				}
				if taken == nil {
					owners = append(owners, r.Owner)
				} else if !errors.Is(taken, ErrNone) {
					t.Error(taken)
				}
			})
		}
		wg.Wait()
		if outcomes[Added] != 1 || outcomes[Known] != many-1 || len(owners) != 1 {
			t.Errorf("outcomes %v, taken by %v", outcomes, owners)
		}
	})
}

func TestPrune(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		for minute := range 10 {
			r := planned("shop", minute)
			if minute < 9 {
				add(t, s, r, Admission{}, Added)
				finish(t, s, take(t, s, "me", "shop"), "{}", nil)
			} else {
				add(t, s, r, Admission{}, Added) // stays, being open
			}
		}
		add(t, s, alerted("shop", "g", -5), Admission{}, Added)
		r := take(t, s, "me", "shop")
		if r.Trigger != Alert { // the oldest in the queue
			t.Fatal(r.Key)
		}
		finish(t, s, r, "{}", nil)
		if n, err := s.Prune(t.Context(), Keep{Runs: 4}); n != 6 || err != nil {
			t.Errorf("%d removed, %v; want 6", n, err)
		}
		left, err := s.Runs(t.Context(), Query{})
		var slots []int
		for _, r := range left {
			slots = append(slots, int(r.Slot.Sub(start).Minutes()))
		}
		if want := []int{9, 8, 7, 6, -5}; !slices.Equal(slots, want) || err != nil {
			t.Errorf("left %v, %v; want %v", slots, err, want)
		}
		if n, err := s.Prune(t.Context(), Keep{Age: time.Since(start) - 7*time.Minute - 30*time.Second}); n != 2 || err != nil {
			t.Errorf("%d removed, %v; want 2", n, err)
		}
	})
}

// A copy may be broken off and repeated; what was running is queued.
func TestCopy(t *testing.T) {
	from, to := openDirectory(t, t.TempDir()), openPostgres(t, startPostgres(t))
	for minute := range 3 {
		add(t, from, planned("shop", minute), Admission{}, Added)
		r := take(t, from, "me", "shop")
		if minute < 2 {
			finish(t, from, r, fmt.Sprintf(`{"minute":%d}`, minute), nil)
		}
	}
	for _, want := range []Copied{{Runs: 3, Open: 1}, {Known: 3, Open: 1}} {
		if got, err := Copy(t.Context(), to, from); got != want || err != nil {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	was, _ := from.Runs(t.Context(), Query{})
	is, err := to.Runs(t.Context(), Query{})
	if err != nil || len(is) != 3 || is[0].State != Queued {
		t.Fatalf("%+v, %v", is, err)
	}
	for i, r := range was[1:] {
		text, err := to.Report(t.Context(), r.ID)
		if err != nil || string(text) != fmt.Sprintf(`{"minute":%d}`, 1-i) || is[i+1].Key != r.Key {
			t.Errorf("%s: %q, %v", r.Key, text, err)
		}
	}
}

func TestDirectoryIsForOne(t *testing.T) {
	dir := t.TempDir()
	openDirectory(t, dir)
	if _, err := OpenDirectory(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another process has it") {
		t.Errorf("a second process: %v", err)
	}
}

// What a process leaves behind that was killed: a run begun, a report without
// its record, half a file, a record that somebody damaged.
func TestDirectoryAfterKill(t *testing.T) {
	dir := t.TempDir()
	s := openDirectory(t, dir)
	add(t, s, planned("shop", 0), Admission{}, Added)
	finish(t, s, take(t, s, "me", "shop"), `{"whole":true}`, nil)
	add(t, s, planned("shop", 1), Admission{}, Added)
	begun := take(t, s, "me", "shop")
	s.Close()
	in := func(name string) string { return filepath.Join(dir, "shop", name) }
	for name, text := range map[string]string{
		begun.ID + reportEnd: "not recorded", unfinished + "123": `{"key":`, "nobody" + reportEnd: "alone", "damaged" + recordEnd: `{"key":`, "damaged" + reportEnd: "kept",
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for attempt := 2; ; attempt++ {
		s = openDirectory(t, dir)
		for _, gone := range []string{begun.ID + reportEnd, unfinished + "123", "nobody" + reportEnd} {
			if _, err := os.Stat(in(gone)); err == nil {
				t.Errorf("%s is still there", gone)
			}
		}
		for _, kept := range []string{"damaged" + recordEnd, "damaged" + reportEnd} {
			if _, err := os.Stat(in(kept)); err != nil {
				t.Error(err)
			}
		}
		r, err := s.Get(t.Context(), begun.ID)
		if err != nil || !strings.Contains(r.Reason, "went away") {
			t.Fatalf("%+v, %v", r, err)
		}
		if attempt > MaxAttempts {
			if r.State != Interrupted {
				t.Errorf("after %d attempts it is %s", MaxAttempts, r.State)
			}
			break
		}
		if again := take(t, s, "me", "shop"); again.Attempt != attempt {
			t.Errorf("attempt %d, want %d", again.Attempt, attempt)
		}
		s.Close()
	}
	if runs, err := s.Runs(t.Context(), Query{States: []State{Done}}); err != nil || len(runs) != 1 {
		t.Errorf("%d done, %v", len(runs), err)
	} else if text, err := s.Report(t.Context(), runs[0].ID); string(text) != `{"whole":true}` || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// The owner that was silent loses its run, and cannot finish it; one that
// gives signs of life keeps it.
func TestPostgresReap(t *testing.T) {
	s := openPostgres(t, startPostgres(t))
	add(t, s, planned("shop", 0), Admission{}, Added)
	add(t, s, planned("till", 0), Admission{}, Added)
	dead, alive := take(t, s, "dead", "shop"), take(t, s, "alive", "till")
	time.Sleep(300 * time.Millisecond)
	if err := s.Beat(t.Context(), "alive", []string{alive.Key}); err != nil {
		t.Fatal(err)
	}
	reaped, err := s.Reap(t.Context(), 200*time.Millisecond)
	if err != nil || len(reaped) != 1 || reaped[0].Key != dead.Key || reaped[0].State != Queued {
		t.Fatalf("reaped %+v, %v", reaped, err)
	}
	again := take(t, s, "alive", "shop")
	finish(t, s, dead, "{}", ErrLost)
	finish(t, s, again, "{}", nil)
	finish(t, s, alive, "{}", nil)
}

// A replica that is frozen while it holds the lock does not hold up the others
// for long: the server ends its transaction.
func TestPostgresFrozenReplica(t *testing.T) {
	dsn := startPostgres(t)
	frozen, alive := openPostgres(t, dsn).(*database), openPostgres(t, dsn)
	release, has := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- frozen.locked(context.Background(), func(context.Context, pgx.Tx) error {
			close(has)
			<-release
			return nil
		})
	}()
	<-has
	add(t, alive, planned("shop", 0), Admission{}, Added)
	close(release)
	if err := <-ended; err == nil {
		t.Error("the frozen transaction was committed")
	}
}

func TestPostgresIsPlain(t *testing.T) {
	for name, dsn := range map[string]string{
		"unreadable": "postgres://u:canary-5f3a9@h:port/x", "refused": "postgres://u:canary-5f3a9@127.0.0.1:1/x", "words": "password=canary-5f3a9\\ tail nonsense",
	} {
		_, err := OpenPostgres(context.Background(), dsn)
		if err == nil || !strings.Contains(err.Error(), "history") || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "tail") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
