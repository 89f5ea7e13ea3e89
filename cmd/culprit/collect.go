package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/collectors/loadtest"
)

func (a *app) collectCommand() *cobra.Command {
	var sources sourceFlags
	var window windowFlags
	var path string
	c := &cobra.Command{
		Use: "collect [sources] --since 30m | --start T --end T | --load FILE -o run.culprit", Short: "Read the sources into an evidence file", Args: cobra.NoArgs,
		Long: "Read the sources over a window that has passed into one evidence file,\nto be analyzed here or elsewhere. Without a window, a --load file that says\nwhen its run was gives it.",
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usage(errors.New("where to? give -o run.culprit"))
			}
			b, err := a.collectPast(c.Context(), &sources, &window)
			if b == nil {
				return err
			}
			return cmp.Or(a.writeBundle(path, b), err)
		},
	}
	sources.register(c.Flags())
	window.register(c.Flags())
	c.Flags().StringVarP(&path, "output", "o", "", "evidence file to write")
	return c
}

// collectPast reads a window after the fact. With an error there may still be
// a bundle worth keeping: it was interrupted, or holds gaps alone.
func (a *app) collectPast(ctx context.Context, sources *sourceFlags, flags *windowFlags) (*evidence.Bundle, error) {
	if err := sources.resolve(); err != nil {
		return nil, usage(err)
	}
	if err := flags.baseline.resolve(); err != nil {
		return nil, usage(err)
	}
	events, err := readEvents(sources.settings.Events)
	if err != nil {
		return nil, usage(err)
	}
	b, err := a.collectAny(ctx, sources, flags)
	if b != nil {
		events.addTo(b)
		sources.settings.Prices.addTo(b)
	}
	return b, err
}

// collectAny reads the window that is named, or that the load's result file or
// the files of traces tell.
func (a *app) collectAny(ctx context.Context, sources *sourceFlags, flags *windowFlags) (*evidence.Bundle, error) {
	if !flags.given() && sources.tracesFilesAlone() {
		return a.collectFiles(ctx, sources, flags)
	}
	w, err := windowFor(sources, flags, a.now())
	if err != nil {
		return nil, usage(err)
	}
	if err := flags.baseline.check(w); err != nil {
		return nil, usage(err)
	}
	b, err := a.collectWindow(ctx, sources, w)
	if b != nil {
		flags.baseline.apply(b)
	}
	return b, err
}

// windowFor is the window that is named, or the time of the run whose result
// file is.
func windowFor(sources *sourceFlags, flags *windowFlags, now time.Time) (evidence.Window, error) {
	load := sources.settings.Load
	if flags.given() || load == "" {
		return flags.window(now)
	}
	w, err := loadtest.NewFile(load).Window()
	if err != nil {
		return w, err
	}
	if w.Start.IsZero() {
		return w, fmt.Errorf("which window? %s does not say when the run was: give --start and --end", load)
	}
	if w.End.After(now) {
		w.End = now.UTC()
	}
	return w, w.Validate(now)
}

// collectFiles takes the window from the traces themselves.
func (a *app) collectFiles(ctx context.Context, sources *sourceFlags, flags *windowFlags) (*evidence.Bundle, error) {
	b, err := a.collectWindow(ctx, sources, evidence.Window{})
	if b == nil || len(b.Spans) == 0 {
		return nil, cmp.Or(err, failed(errors.New("the files hold no spans")))
	}
	b.Window = windowOfSpans(b.Spans)
	if err := flags.baseline.check(b.Window); err != nil {
		return nil, usage(err)
	}
	flags.baseline.apply(b)
	return b, err
}

func (a *app) collectWindow(ctx context.Context, sources *sourceFlags, w evidence.Window) (*evidence.Bundle, error) {
	p := a.newProgress()
	cs, err := sources.collectors(p.Report, false)
	if err != nil {
		return nil, usage(err)
	}
	watch, stop := a.watch()
	defer stop()
	ctx, cancel := watch.cancelling(ctx)
	defer cancel()
	b, err := collectors.Collect(ctx, w, cs, collectors.Options{Timeout: sources.timeout, Progress: p.Report})
	b.Version = a.version
	if watch.interrupted() {
		return b, errInterrupted
	}
	return b, failed(err)
}

// failed keeps the error of a collection that brought nothing.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitFailed, fmt.Errorf("%w; nothing is concluded", err)}
}
