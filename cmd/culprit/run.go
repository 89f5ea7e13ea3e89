package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/collectors/loadtest"
)

// defaultSettle is about one usual scrape interval of a load test's set-up
// and the delay of a span batch.
const defaultSettle = 5 * time.Second

func (a *app) runCommand() *cobra.Command {
	var sources sourceFlags
	var output outputFlags
	var baseline baselineFlag
	var settle time.Duration
	c := &cobra.Command{
		Use: "run [sources] [-o DIR] -- COMMAND ARGS...", Short: "Watch the sources while a load command runs, then report",
		Long: `Take a first snapshot, start the load command, sample while it runs, read the
sources over its time, and report. The command's output goes to standard error;
its exit code stands in the report and does not change culprit's own.

The first interrupt ends the load and reports on what ran; the second kills.`,
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 0 || len(args) == 0 {
				return errors.New("the load command goes behind --, as in culprit run --prometheus URL -- k6 run script.js")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := sources.resolve(); err != nil {
				return usage(err)
			}
			if err := output.resolve(sources.settings); err != nil {
				return usage(err)
			}
			if err := baseline.resolve(); err != nil {
				return usage(err)
			}
			if baseline.part != nil {
				return usage(errors.New("--baseline START/END lies ahead of the run: name the evidence file of an earlier run"))
			}
			// Read again after the load: what is done to the system meanwhile is written there.
			if _, err := readEvents(sources.settings.Events); err != nil && !errors.Is(err, os.ErrNotExist) {
				return usage(err)
			}
			return a.run(c.Context(), &sources, &output, &baseline, settle, args)
		},
	}
	sources.register(c.Flags())
	sources.registerListen(c.Flags())
	baseline.registerRun(c.Flags())
	output.register(c.Flags())
	c.Flags().DurationVar(&settle, "settle", defaultSettle, "wait after the load, so that the last scrapes and spans arrive")
	return c
}

// run is the whole line around one load command.
func (a *app) run(ctx context.Context, sources *sourceFlags, output *outputFlags, baseline *baselineFlag, settle time.Duration, args []string) error {
	p := a.newProgress()
	cs, err := sources.collectors(p.Report, true)
	if err != nil {
		return usage(err)
	}
	dir, err := os.MkdirTemp("", "culprit-run-")
	if err != nil {
		return fmt.Errorf("making a folder for the load tool's result: %w", err)
	}
	defer os.RemoveAll(dir)
	load, err := loadtest.NewCommand(args, dir)
	if err != nil {
		return usage(err)
	}
	watch, stop := a.watch()
	defer stop()
	r := &loadRun{app: a, progress: p, watch: watch, load: load, collectors: cs,
		options: collectors.Options{Timeout: sources.timeout, Progress: p.Report}}
	b, err := r.observe(ctx, settle)
	if b == nil {
		return err
	}
	baseline.apply(b)
	addEventsAfter(b, sources.settings.Events)
	sources.settings.Prices.addTo(b)
	kept := a.keep(b, output)
	return cmp.Or(kept, err, a.conclude(b, output))
}

// loadRun is one watched run of a load command.
type loadRun struct {
	app        *app
	progress   *progress
	watch      *interrupts
	load       *loadtest.Command
	collectors []collectors.Collector
	options    collectors.Options
}

// observe brings the evidence of the run. A bundle may come with an error:
// the run was interrupted, or no source could be read.
func (r *loadRun) observe(ctx context.Context, settle time.Duration) (*evidence.Bundle, error) {
	sampling, end := r.watch.cancelling(ctx)
	defer end()
	gaps := r.begin(sampling)
	if r.watch.interrupted() {
		return nil, &exitError{exitInterrupted, errors.New("interrupted before the load began")}
	}
	r.progress.Restart()
	if err := r.runLoad(); err != nil {
		return nil, err
	}
	collecting, cancel := r.watch.cancelling(ctx)
	defer cancel()
	r.settle(collecting, settle)
	b, err := collectors.Collect(collecting, r.load.Window(), r.collectors, r.options)
	b.Version = r.app.version
	b.Gaps = append(b.Gaps, gaps...)
	// The load's own account is no witness of the system: it comes after the
	// question whether any source could be read.
	own, _ := r.load.Collect(ctx, b.Window)
	b.Merge(own)
	b.Sort()
	if r.watch.interrupted() {
		return b, errInterrupted
	}
	return b, failed(err)
}

// preflightTime is what a source that is read after the load gets to answer
// before it.
const preflightTime = 5 * time.Second

// begin takes the first snapshots, and asks the sources that are read
// afterwards whether they answer at all: better known before a long load than
// after it. What fails is said, and does not keep the load from starting.
func (r *loadRun) begin(ctx context.Context) []evidence.Gap {
	var wg sync.WaitGroup
	for _, c := range r.collectors {
		_, begins := c.(collectors.Beginner)
		checker, checks := c.(collectors.Checker)
		if begins || !checks {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, preflightTime)
			defer cancel()
			if _, err := checker.Check(ctx); err != nil {
				r.progress.Say("culprit: warning: %v; the load starts all the same", err)
			}
		})
	}
	gaps := collectors.Begin(ctx, r.collectors, r.options)
	wg.Wait()
	for _, g := range gaps {
		r.progress.Say("culprit: warning: %s: %s; the load starts all the same", g.Source, g.Reason)
	}
	return gaps
}

// runLoad starts the command and waits for its end. An interrupt is passed
// on, so that the tool can end in its own way.
func (r *loadRun) runLoad() error {
	if err := r.load.Start(r.app.stderr, r.app.stderr); err != nil {
		return usage(err)
	}
	r.watch.during(r.load.Signal, func() { r.load.Signal(syscall.SIGKILL) })
	code := r.load.Wait()
	r.progress.Say("culprit: the load ended after %s with exit code %d", r.load.Window().Duration().Round(time.Second), code)
	return nil
}

func (r *loadRun) settle(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	r.progress.Say("culprit: waiting %s for the last scrapes and spans", d)
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
