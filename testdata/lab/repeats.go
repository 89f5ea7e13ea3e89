package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/servers"
)

// repeats brings one lab up and loads it several times in the same way; the
// evidence of run N goes to NN.culprit below the folder for reports.
func (a *app) repeats(ctx context.Context, names []string) error {
	if len(names) != 1 {
		return usageError{errors.New("repeats: which variant? same or slower")}
	}
	text, err := fs.ReadFile(repeatFiles, "repeats/"+names[0]+".yaml")
	if err != nil {
		return usageError{fmt.Errorf("no variant is called %q: same, slower", names[0])}
	}
	s, err := scenario.Parse(names[0], text)
	if err != nil {
		return err
	}
	programs, err := a.find(ctx)
	if err != nil {
		return err
	}
	if err := a.findCulprit(ctx); err != nil {
		return err
	}
	state, err := a.bringUp(ctx, s, programs, "")
	if err != nil {
		return err
	}
	return errors.Join(a.loadAgain(ctx, s, state, programs["k6"]), servers.Down(a.dir))
}

// restBetween runs lets connections idle and the last batch of spans arrive.
const restBetween = 2 * time.Second

func (a *app) loadAgain(ctx context.Context, s scenario.Scenario, state *servers.State, k6 string) error {
	if err := os.MkdirAll(a.options.out, 0o755); err != nil {
		return fmt.Errorf("create folder for the evidence: %w", err)
	}
	for n := range max(1, a.options.repeat) {
		plan, err := load.Prepare(state.Dir, state.Addresses.Gateway, s.Load, a.handicap.sight.Names)
		if err != nil {
			return err
		}
		a.progress(fmt.Sprintf("run %d", n+1))
		if err := a.keepOne(ctx, state, k6, plan, fmt.Sprintf("%02d.culprit", n+1)); err != nil {
			return fmt.Errorf("run %d: %w", n+1, err)
		}
		time.Sleep(restBetween)
	}
	return nil
}

// keepOne runs the load through culprit and keeps the evidence alone.
func (a *app) keepOne(ctx context.Context, state *servers.State, k6 string, plan load.Plan, name string) error {
	dir, err := os.MkdirTemp(state.Dir, "run-")
	if err != nil {
		return fmt.Errorf("make a folder for the run: %w", err)
	}
	args := append([]string{"run", "--prometheus", state.Addresses.Prometheus, "--traces", state.Addresses.Traces,
		"--settle", "3s", "-o", dir, "--format", "json", "--", k6}, plan.Args...)
	command := exec.CommandContext(ctx, a.options.culprit, args...)
	command.Env = append(os.Environ(), plan.Env...)
	command.Stdout, command.Stderr = a.err, a.err
	if err := command.Run(); err != nil {
		return err
	}
	return copyFile(filepath.Join(dir, "run.culprit"), filepath.Join(a.options.out, name))
}
