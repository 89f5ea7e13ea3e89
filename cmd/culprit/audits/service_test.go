package audits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/rules"
)

// stand is a service on a directory, with an audit that the test decides.
type stand struct {
	t      *testing.T
	dir    string
	store  *fragile
	audit  func(context.Context, archive.Run) (*report.Report, error)
	sinks  []archive.Sink
	config Config
	target Target
}

// fragile is a store that can be away.
type fragile struct {
	archive.Store
	away atomic.Bool
}

var errAway = errors.New("history: the disk is gone")

func (f *fragile) err() error {
	if f.away.Load() {
		return errAway
	}
	return nil
}

func (f *fragile) Add(ctx context.Context, r archive.Run, a archive.Admission) (archive.Run, archive.Outcome, error) {
	if err := f.err(); err != nil {
		return r, "", err
	}
	return f.Store.Add(ctx, r, a)
}

func (f *fragile) Take(ctx context.Context, owner string) (archive.Run, error) {
	if err := f.err(); err != nil {
		return archive.Run{}, err
	}
	return f.Store.Take(ctx, owner)
}

func (f *fragile) Beat(ctx context.Context, owner string, keys []string) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Beat(ctx, owner, keys)
}

func (f *fragile) Reap(ctx context.Context, silent time.Duration) ([]archive.Run, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Reap(ctx, silent)
}

func (f *fragile) Finish(ctx context.Context, r archive.Run, text []byte) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Finish(ctx, r, text)
}

func made(status rules.VerdictStatus, causes ...string) *report.Report {
	r := &report.Report{SchemaVersion: 1, Verdict: report.Verdict{Status: status, Headline: "headline"}}
	for _, c := range causes {
		r.Causes = append(r.Causes, report.Cause{Rule: c, Title: c, Fingerprint: c})
	}
	return r
}

func newStand(t *testing.T, expression string) *stand {
	s := &stand{t: t, dir: t.TempDir()}
	s.target = Target{Name: "shop", Plan: plan(t, expression, "UTC", 0), Window: time.Hour, Late: time.Hour}
	s.audit = func(_ context.Context, r archive.Run) (*report.Report, error) { return made(rules.NoProblem), nil }
	return s
}

// run lets the service work for so long, by a clock of the test's own, and
// gives the records that it leaves, oldest first.
func (s *stand) run(d time.Duration, meanwhile ...func(*Service)) []archive.Run {
	s.t.Helper()
	store, err := archive.OpenDirectory(s.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	s.store = &fragile{Store: store}
	c := s.config
	s.target.Audit = func(ctx context.Context, r archive.Run) (*report.Report, error) { return s.audit(ctx, r) }
	c.Store, c.Targets, c.Sinks, c.Log = s.store, []Target{s.target}, s.sinks, slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(s.t.Context())
	service := New(c)
	var wg sync.WaitGroup
	wg.Go(func() { service.Run(ctx) })
	for _, f := range meanwhile {
		wg.Go(func() { f(service) })
	}
	time.Sleep(d)
	stop()
	wg.Wait()
	runs, err := store.Runs(context.Background(), archive.Query{Limit: 10_000})
	if err != nil {
		s.t.Fatal(err)
	}
	for i, j := 0, len(runs)-1; i < j; i, j = i+1, j-1 {
		runs[i], runs[j] = runs[j], runs[i]
	}
	return runs
}

func states(runs []archive.Run) string {
	var out []string
	for _, r := range runs {
		out = append(out, string(r.State))
	}
	return strings.Join(out, " ")
}

func wantStates(t *testing.T, runs []archive.Run, want string) {
	t.Helper()
	if got := states(runs); got != want {
		t.Fatalf("the runs are %q, want %q: %+v", got, want, runs)
	}
}

func TestScheduleIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "*/10 * * * *")
		runs := s.run(time.Hour + time.Minute)
		wantStates(t, runs, "done done done done done done")
		for i, r := range runs {
			if want := time.Date(2000, 1, 1, 0, 10*(i+1), 0, 0, time.UTC); !r.Slot.Equal(want) || !r.Window.End.IsZero() || r.Attempt != 1 {
				t.Errorf("run %d: %+v", i, r)
			}
		}
	})
}

func TestSlowAuditSkipsTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "*/10 * * * *")
		s.config.MaxTime = time.Hour
		s.audit = func(ctx context.Context, _ archive.Run) (*report.Report, error) {
			time.Sleep(25 * time.Minute)
			return made(rules.NoProblem), nil
		}
		runs := s.run(61 * time.Minute)
		wantStates(t, runs, "done skipped skipped queued skipped skipped") // that of :40 was stopped, and waits
		if !strings.Contains(runs[1].Reason, "00:10:00Z was still running") {
			t.Error(runs[1].Reason)
		}
	})
}

func TestMissedAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "*/10 * * * *")
		s.run(11 * time.Minute)
		time.Sleep(35 * time.Minute) // nobody is there at :20, :30 and :40
		wantStates(t, s.run(time.Minute), "done missed missed done")
		s.target.Late = time.Minute
		time.Sleep(20 * time.Minute)
		runs := s.run(10 * time.Minute)
		wantStates(t, runs, "done missed missed done missed missed done")
		time.Sleep(20 * 24 * time.Hour)
		runs = s.run(time.Minute)
		if n := len(runs); n != 7+1+maxMissed+1 || !strings.HasPrefix(runs[7].Reason, "2829 audits from 2000-01-01T01:20:00Z") {
			t.Errorf("%d runs, %q", n, runs[7].Reason)
		}
		s.target.Plan = plan(t, "*/7 * * * *", "UTC", 0) // of another plan nothing was missed
		time.Sleep(time.Hour)
		if more := s.run(time.Minute); len(more) != len(runs) {
			t.Errorf("%d runs more", len(more)-len(runs))
		}
	})
}

func TestStoreIsAwayForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "*/10 * * * *")
		s.target.Late = 5 * time.Minute
		var unready error
		runs := s.run(time.Hour+time.Minute, func(service *Service) {
			time.Sleep(15 * time.Minute)
			s.store.away.Store(true)
			time.Sleep(29 * time.Minute)
			unready = service.Ready()
			s.store.away.Store(false)
		})
		wantStates(t, runs, "done missed missed done done done")
		if !errors.Is(unready, errAway) {
			t.Errorf("while the store is away: %v", unready)
		}
	})
}

func TestEndIsRecordedWhenTheStoreComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "0 * * * *")
		audits := 0
		s.audit = func(context.Context, archive.Run) (*report.Report, error) {
			audits++
			s.store.away.Store(true)
			time.AfterFunc(20*time.Minute, func() { s.store.away.Store(false) })
			return made(rules.NoProblem), nil
		}
		wantStates(t, s.run(90*time.Minute), "done")
		if audits != 1 {
			t.Errorf("%d audits", audits)
		}
	})
}

func TestErrorsAndPanicsAreOfOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "0 * * * *")
		s.audit = func(_ context.Context, r archive.Run) (*report.Report, error) {
			switch r.Slot.Hour() {
			case 1:
				panic("a bug")
			case 2:
				return made(rules.Inconclusive), errors.New("no source\ncould be read")
			}
			return made(rules.NoProblem), nil
		}
		runs := s.run(3*time.Hour + time.Minute)
		wantStates(t, runs, "failed failed done")
		if !strings.Contains(runs[0].Reason, "a bug") || runs[1].Reason != "no source could be read" || !runs[1].Reported {
			t.Errorf("%+v", runs)
		}
	})
}

// A running audit gets its grace; what does not end within it is queued again,
// and done by the next process.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "0 * * * *")
		s.audit = func(ctx context.Context, _ archive.Run) (*report.Report, error) {
			select {
			case <-time.After(20 * time.Second):
				return made(rules.NoProblem), nil
			case <-ctx.Done():
				return made(rules.Inconclusive), ctx.Err()
			}
		}
		wantStates(t, s.run(time.Hour+time.Second), "done")
		s.config.Grace = 10 * time.Second
		runs := s.run(time.Hour - 15*time.Second)
		wantStates(t, runs, "done queued")
		if runs[1].Attempt != 0 || !strings.Contains(runs[1].Reason, "stopped before") {
			t.Errorf("%+v", runs[1])
		}
		wantStates(t, s.run(time.Minute), "done done")
	})
}

func TestLongestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "0 * * * *")
		s.config.MaxTime = 5 * time.Minute
		s.audit = func(ctx context.Context, _ archive.Run) (*report.Report, error) {
			<-ctx.Done()
			return made(rules.Inconclusive), nil
		}
		runs := s.run(70 * time.Minute)
		wantStates(t, runs, "done")
		if took := runs[0].Ended.Sub(runs[0].Began); took != 5*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

// teller is a sink that notes what it is told.
type teller struct {
	told []string
	fail func(n int) error
}

func (*teller) Name() string { return "teller" }

func (s *teller) Announce(_ context.Context, a archive.Announcement) error {
	was := "nothing"
	if a.Previous != nil {
		was = fmt.Sprintf("%s %d", a.Previous.Verdict.Status, len(a.Previous.Causes))
	}
	s.told = append(s.told, fmt.Sprintf("%s %d after %s", a.Report.Verdict.Status, len(a.Report.Causes), was))
	return s.fail(len(s.told))
}

// Every report is told once, whatever the sink makes of it, beside the one
// before it that concluded something.
func TestSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "0 * * * *")
		s.audit = func(_ context.Context, r archive.Run) (*report.Report, error) {
			switch r.Slot.Hour() {
			case 1:
				return made(rules.CausesFound, "n-plus-one"), nil
			case 2:
				return made(rules.Inconclusive), errors.New("no source could be read")
			}
			return made(rules.NoProblem), nil
		}
		sink := &teller{fail: func(n int) error {
			switch n {
			case 1:
				return errors.New("refused")
			case 2:
				panic("a bug")
			}
			return nil
		}}
		s.sinks = []archive.Sink{sink}
		var service *Service
		s.run(4*time.Hour+time.Minute, func(x *Service) { service = x })
		want := "causes-found 1 after nothing; inconclusive 0 after causes-found 1; no-problem 0 after causes-found 1; no-problem 0 after no-problem 0"
		if got := strings.Join(sink.told, "; "); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if n := testutil.ToFloat64(service.metrics.sinkErrors.WithLabelValues("teller")); n != 2 {
			t.Errorf("%g errors counted", n)
		}
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, "*/10 * * * *")
		s.config.Keep = archive.Keep{Age: 2 * time.Hour}
		runs := s.run(6*time.Hour + time.Minute)
		if len(runs) < 12 || len(runs) > 18 || runs[0].Slot.Before(time.Date(2000, 1, 1, 3, 0, 0, 0, time.UTC)) {
			t.Errorf("%d runs are left, the oldest of %s", len(runs), runs[0].Slot)
		}
	})
}
