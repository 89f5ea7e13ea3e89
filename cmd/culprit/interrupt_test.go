package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The first interrupt ends the load, and what ran is reported.
func TestInterruptedRun(t *testing.T) {
	signals := make(chan os.Signal, 1)
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for {
			if _, err := os.Stat(started); err == nil {
				signals <- syscall.SIGTERM
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	began := time.Now()
	o := culpritWith(t, signals, "run", "--load", write(t, "s.json", k6Summary), "--settle", "0", "--", "sh", "-c", "touch "+started+"; sleep 60")
	o.wantError(t, exitInterrupted, "interrupted")
	if !strings.HasPrefix(o.stdout, "# ") || time.Since(began) > 30*time.Second {
		t.Errorf("after %s, report %q", time.Since(began), o.stdout)
	}
}

// The first interrupt ends a collection that hangs; what arrived is reported.
func TestInterruptedCollection(t *testing.T) {
	signals := make(chan os.Signal, 1)
	time.AfterFunc(300*time.Millisecond, func() { signals <- os.Interrupt })
	o := culpritWith(t, signals, "analyze", "--prometheus", hostile(t)["hanging"], "--load", write(t, "s.json", k6Summary), "--since", "5m")
	o.wantError(t, exitInterrupted, "interrupted")
	if !strings.HasPrefix(o.stdout, "# ") {
		t.Errorf("report %q", o.stdout)
	}
}

func TestSecondInterruptEnds(t *testing.T) {
	var ended []int
	killed := 0
	signals := make(chan os.Signal)
	done := make(chan struct{})
	a := &app{signals: signals, exit: func(code int) { ended = append(ended, code); close(done) }}
	w, stop := a.watch()
	defer stop()
	w.during(func(os.Signal) {}, func() { killed++ })
	signals <- os.Interrupt
	signals <- os.Interrupt
	<-done
	if killed != 1 || len(ended) != 1 || ended[0] != exitInterrupted {
		t.Errorf("killed %d, ended %v", killed, ended)
	}
}
