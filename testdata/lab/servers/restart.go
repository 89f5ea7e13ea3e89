package servers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// starter begins a process of the shop again and waits until it answers.
type starter func(context.Context) (Process, error)

// Restart the processes that a scenario restarts before its load.
func (s *State) Restart(ctx context.Context, f scenario.Fault) error {
	for _, r := range f.Restarts {
		if r.At == 0 {
			if err := s.restart(ctx, r.Process); err != nil {
				return err
			}
		}
	}
	return nil
}

// RestartLate restarts processes while the load runs, where the scenario says
// when. The function that it returns waits for what was begun and says what
// failed.
func (s *State) RestartLate(ctx context.Context, f scenario.Fault) (end func() error) {
	during, cancel := context.WithCancel(ctx)
	failed := make([]error, len(f.Restarts))
	var all sync.WaitGroup
	for i, r := range f.Restarts {
		all.Go(func() {
			if r.At > 0 && pass(during, r.At) {
				failed[i] = s.restart(ctx, r.Process)
			}
		})
	}
	return func() error {
		cancel()
		all.Wait()
		return errors.Join(failed...)
	}
}

// restart ends a process, by the signal that it takes for a request, and starts
// it anew.
func (s *State) restart(ctx context.Context, name string) error {
	i := slices.IndexFunc(s.Processes, func(p Process) bool { return p.Name == name })
	start := s.again[name]
	if i < 0 || start == nil {
		return fmt.Errorf("restart %s: no such process of the shop runs", name)
	}
	if err := end(s.Processes[i:i+1], grace); err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	p, err := start(ctx)
	if err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Processes[i] = p
	return s.save()
}
