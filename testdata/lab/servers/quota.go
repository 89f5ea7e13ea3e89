package servers

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
)

// ThrottleLate gives services their quota while the load already runs, and
// takes it away again, where the scenario says when. The function that it
// returns waits for what was begun and says what failed.
func (s *State) ThrottleLate(ctx context.Context, f scenario.Fault, called names.Names) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.throttleLate(ctx, f, called) }()
	return func() error {
		cancel()
		return <-done
	}
}

func (s *State) throttleLate(ctx context.Context, f scenario.Fault, called names.Names) error {
	if f.QuotaAt == 0 || !pass(ctx, f.QuotaAt) {
		return nil
	}
	for service, cores := range f.Quota {
		if err := s.groupOf(called.Rename(service)).limit(cores); err != nil {
			return fmt.Errorf("limit %s to %g cores: %w", service, cores, err)
		}
	}
	if f.QuotaFor == 0 || !pass(ctx, f.QuotaFor) {
		return nil
	}
	for service := range f.Quota {
		if err := s.groupOf(called.Rename(service)).limit(unlimited); err != nil {
			return fmt.Errorf("lift the limit of %s: %w", service, err)
		}
	}
	return nil
}

// groupOf a service that runs.
func (s *State) groupOf(service string) *cgroup {
	folders := slices.DeleteFunc(slices.Clone(s.Cgroups), func(f string) bool { return filepath.Base(f) != service })
	return &cgroup{in: kernelGroups, folders: folders}
}

// pass waits, and reports whether the load still ran at the end.
func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
