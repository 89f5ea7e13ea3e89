package main

import (
	"context"
	"os"
	"sync"
)

// interrupts gives the first signal to whatever runs now, as a request to
// finish, and ends the process at the second.
type interrupts struct {
	mu      sync.Mutex
	seen    bool
	current func(os.Signal) // what the first signal ends
	kill    func()          // what must not outlive us
	done    chan struct{}
}

// watch listens until stop is called.
func (a *app) watch() (w *interrupts, stop func()) {
	w = &interrupts{current: func(os.Signal) {}, kill: func() {}, done: make(chan struct{})}
	go func() {
		for {
			select {
			case s := <-a.signals:
				if !w.take(s) {
					a.exit(exitInterrupted)
				}
			case <-w.done:
				return
			}
		}
	}()
	return w, func() { close(w.done) }
}

// take handles one signal; false when it is the second.
func (w *interrupts) take(s os.Signal) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen {
		w.kill()
		return false
	}
	w.seen = true
	w.current(s)
	return true
}

// during says what a first signal ends from now on.
func (w *interrupts) during(current func(os.Signal), kill func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current, w.kill = current, kill
}

// cancelling makes a context that the first signal ends. A signal that came
// in an earlier phase does not end this one.
func (w *interrupts) cancelling(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	w.during(func(os.Signal) { cancel() }, func() {})
	return ctx, cancel
}

func (w *interrupts) interrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}
