package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/cmd/culprit/audits"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/testdata/needs"
)

// soakTime is how long the two soaks last at least: CULPRIT_SOAK=1h for the
// long one. Without it each step lasts until what it is for was seen to happen,
// however slow the machine is.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode")
	}
	text := os.Getenv("CULPRIT_SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// after waits for d at least, and until it holds.
func after(t *testing.T, d time.Duration, holds func() bool) {
	t.Helper()
	from := time.Now()
	for !holds() || time.Since(from) < d {
		if time.Since(from) > d+3*time.Minute {
			t.Fatalf("waited %s in vain", time.Since(from).Round(time.Second))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ends holds once the replica said, after now, of each target that an audit of
// it ended so.
func (r *replica) ends(targets map[string]archive.State) func() bool {
	was := len(r.log.String())
	return func() bool {
		text := r.log.String()[was:]
		for target, state := range targets {
			if !regexp.MustCompile(`msg=ended run=\S+ target=` + target + ` state=` + string(state)).MatchString(text) {
				return false
			}
		}
		return true
	}
}

// idleMiB is what a service may hold that has nothing to do.
const idleMiB = 64

// An accelerated schedule while the sources go away, hang and come back, and
// the service itself is killed: every slot has one record, none is done twice,
// what is recorded can be read, and memory stays where it was.
func TestServeSoak(t *testing.T) {
	t.Parallel()
	d := soakTime(t)
	prometheus, prometheusURL := realPrometheus(t)
	jaeger, jaegerURL := realJaeger(t)
	postgres, dsn := realPostgres(t)
	history := filepath.Join(t.TempDir(), "history")
	config := write(t, "culprit.yaml", fmt.Sprintf(`
targets:
- name: all
  schedule: "@every 7s"
  window: 5m
  timeout: 10s
  watch: 1s
  prometheus: {url: "%[1]s"}
  traces: {url: "%[2]s"}
  postgres: {dsn: "%[3]s"}
- name: metrics
  schedule: "*/2 * * * * *"
  window: 5m
  late: 3s
  timeout: 10s
  prometheus: {url: "%[1]s"}
- name: traces
  schedule: "@every 5s"
  window: 5m
  timeout: 10s
  traces: {url: "%[2]s"}
history: {directory: "%[4]s"}
audits: {at_once: 3}
`, prometheusURL, jaegerURL, dsn, history))
	r := serveProcess(t, config)
	for range 3 { // in the middle of what it does
		was := len(r.log.String())
		after(t, d/12, func() bool { return strings.Contains(r.log.String()[was:], "msg=begun") })
		_ = r.end(syscall.SIGKILL)
		readable(t, history)
		r.start(t)
	}
	memory := watchMemory(t, r)
	for _, step := range []struct {
		do    func()
		until map[string]archive.State
	}{
		{func() {}, map[string]archive.State{"all": archive.Done, "metrics": archive.Done, "traces": archive.Done}},
		{func() { _ = prometheus.end(syscall.SIGKILL) }, map[string]archive.State{"metrics": archive.Failed}},
		{func() { prometheus.start(t) }, map[string]archive.State{"metrics": archive.Done}},
		{func() { _ = postgres.end(syscall.SIGQUIT) }, map[string]archive.State{"all": archive.Done}},
		{func() { postgres.start(t) }, map[string]archive.State{"all": archive.Done}},
		{func() { jaeger.signal(syscall.SIGSTOP); prometheus.signal(syscall.SIGSTOP) },
			map[string]archive.State{"metrics": archive.Failed, "traces": archive.Failed}},
		{func() { jaeger.signal(syscall.SIGCONT); prometheus.signal(syscall.SIGCONT) },
			map[string]archive.State{"metrics": archive.Done, "traces": archive.Done}},
		{func() { _ = jaeger.end(syscall.SIGTERM); _ = postgres.end(syscall.SIGTERM) }, map[string]archive.State{"traces": archive.Failed}},
		{func() { jaeger.start(t); postgres.start(t) }, map[string]archive.State{"all": archive.Done, "traces": archive.Done}},
	} {
		step.do()
		after(t, d/12, r.ends(step.until))
	}
	samples := memory()
	if err := r.end(syscall.SIGTERM); err != nil {
		t.Errorf("it did not stop well: %v\n%s", err, r.log.String())
	}
	holdFlat(t, samples, d)
	holdSlots(t, openRuns(t, history), map[string]string{"all": "@every 7s", "metrics": "*/2 * * * * *", "traces": "@every 5s"})
	holdOnce(t, r)
	holdSpans(t, history)
	idle(t, history, prometheusURL)
}

// watchMemory samples the process until it is asked for the samples, in MiB.
func watchMemory(t *testing.T, r *replica) func() []float64 {
	t.Helper()
	var out []float64
	stop, done := make(chan bool), make(chan bool)
	pid := r.cmd.Process.Pid
	go func() {
		defer close(done)
		for tick := time.NewTicker(500 * time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
				if mib, err := rss(pid); err == nil {
					out = append(out, mib)
				}
			}
		}
	}()
	return func() []float64 { close(stop); <-done; return out }
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// holdFlat compares the last third with the first after the last kill: what
// grows shows in a long soak, in a short one the heap has not yet settled.
func holdFlat(t *testing.T, memory []float64, d time.Duration) {
	t.Helper()
	n := len(memory) / 3
	if n == 0 {
		needs.Missing(t, "no /proc, which tells the memory of a process")
	}
	first, last := median(memory[:n]), median(memory[2*n:])
	t.Logf("memory at work: %.1f MiB in the first third, %.1f MiB in the last, at most %.1f MiB, %d samples", first, last, slices.Max(memory), len(memory))
	if d >= 10*time.Minute && last > 1.3*first+8 {
		t.Errorf("memory grew from %.1f to %.1f MiB", first, last)
	}
}

// idle looks at a service that has the history and nothing to do.
func idle(t *testing.T, history, prometheusURL string) {
	t.Helper()
	r := serveProcess(t, write(t, "idle.yaml", fmt.Sprintf("targets: [{name: metrics, schedule: '@yearly', prometheus: {url: '%s'}}]\nhistory: {directory: '%s'}\n", prometheusURL, history)))
	time.Sleep(3 * time.Second)
	if mib, err := rss(r.cmd.Process.Pid); err != nil || mib > idleMiB {
		t.Errorf("idle it holds %.1f MiB, want at most %d (%v)", mib, idleMiB, err)
	} else {
		t.Logf("memory idle: %.1f MiB", mib)
	}
	if err := r.end(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// holdSlots wants one record for each time of the plan from the first to the
// last: done or not, but there.
func holdSlots(t *testing.T, runs []archive.Run, plans map[string]string) {
	t.Helper()
	for target, expression := range plans {
		p, err := audits.ParsePlan(expression, time.UTC, 0)
		if err != nil {
			t.Fatal(err)
		}
		states := map[archive.State]int{}
		var last time.Time
		for _, r := range runs {
			if r.Target != target || r.Trigger != archive.Schedule {
				continue
			}
			if states[r.State]++; r.State == archive.Failed && states[r.State] == 1 {
				t.Logf("%s failed first at %s: %s", target, r.Slot, r.Reason)
			}
			if !last.IsZero() && !p.Next(last).Equal(r.Slot) && !standsForMany(t, p, last, r) {
				t.Errorf("%s: after %s comes %s, want %s", target, last, r.Slot, p.Next(last))
			}
			if last = r.Slot; r.State == archive.Running {
				t.Errorf("%s: %s is running after the end", target, r.ID)
			}
		}
		t.Logf("%s, %s: %v", target, expression, states)
		if states[archive.Done] == 0 || states[archive.Queued] > 1 {
			t.Errorf("%s: %v", target, states)
		}
	}
}

// standsForMany holds for the one record of many times that were missed in a
// long outage, when it names all of them.
func standsForMany(t *testing.T, p *audits.Plan, last time.Time, r archive.Run) bool {
	t.Helper()
	var n int
	var from string
	if _, err := fmt.Sscanf(r.Reason, "%d audits from %s to this one", &n, &from); err != nil || r.State != archive.Missed {
		return false
	}
	slot := p.Next(last)
	begins := slot.Format(time.RFC3339) == from
	for ; n > 1; n-- {
		slot = p.Next(slot)
	}
	return begins && slot.Equal(r.Slot)
}

// holdOnce wants no run ended twice, and none begun again that was not taken
// from who had it: by the one who found it dead, frozen, or starved of its beat.
func holdOnce(t *testing.T, replicas ...*replica) {
	t.Helper()
	begun, ended := counts(replicas...)
	again, taken := 0, 0
	for id, n := range begun {
		again += n - 1
		if ended[id] > 1 {
			t.Errorf("%s ended %d times", id, ended[id])
		}
	}
	for _, r := range replicas {
		taken += strings.Count(r.log.String(), "took a run away")
	}
	t.Logf("%d runs begun, %d ended, %d begun again, %d taken away", len(begun), len(ended), again, taken)
	if again > taken || len(ended) == 0 {
		t.Errorf("%d runs were begun again, %d were taken away", again, taken)
	}
}

// Two replicas on one PostgreSQL: each slot once, though the store goes away
// and comes back, one replica is killed at work and the other is frozen until
// its work was taken from it.
func TestServeReplicas(t *testing.T) {
	t.Parallel()
	d := soakTime(t)
	_, prometheusURL := realPrometheus(t)
	postgres, dsn := realPostgres(t)
	config := write(t, "culprit.yaml", fmt.Sprintf(`
targets:
- {name: one, schedule: "@every 2s", window: 5m, timeout: 10s, watch: 1s, prometheus: &p {url: "%s"}}
- {name: two, schedule: "* * * * * *", window: 5m, late: 5s, timeout: 10s, prometheus: *p}
- {name: three, schedule: "@every 3s", jitter: 1500ms, window: 5m, timeout: 10s, prometheus: *p}
history: {postgres: {dsn: "%s"}}
audits: {at_once: 2, beat: 500ms}
`, prometheusURL, dsn))
	a, b := serveProcess(t, config), serveProcess(t, config)
	works := func(replicas ...*replica) {
		t.Helper()
		var all []func() bool
		for _, r := range replicas {
			all = append(all, r.ends(map[string]archive.State{`\w+`: archive.Done}))
		}
		after(t, d/8, func() bool { return !slices.ContainsFunc(all, func(ended func() bool) bool { return !ended() }) })
	}
	works(a, b)
	_ = postgres.end(syscall.SIGQUIT)
	time.Sleep(d/8 + 3*time.Second) // several signs of life cannot be given
	postgres.start(t)
	works(a, b)
	_ = a.end(syscall.SIGKILL)
	works(b)
	a.start(t)
	b.signal(syscall.SIGSTOP)
	works(a)
	b.signal(syscall.SIGCONT)
	works(a, b)
	_ = postgres.end(syscall.SIGINT)
	postgres.start(t)
	works(a, b)
	for _, r := range []*replica{a, b} {
		if err := r.end(syscall.SIGTERM); err != nil {
			t.Errorf("it did not stop well: %v", err)
		}
	}
	store, err := archive.OpenPostgres(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	holdSlots(t, runsOf(t, store), map[string]string{"one": "@every 2s", "two": "* * * * * *", "three": "@every 3s"})
	holdOnce(t, a, b)
	_, byA := counts(a)
	_, byB := counts(b)
	t.Logf("%d ended by one, %d by the other", len(byA), len(byB))
	if len(byA) == 0 || len(byB) == 0 {
		t.Error("one replica did nothing")
	}
}
