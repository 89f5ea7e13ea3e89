package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

func (a *app) collectCommand() *cobra.Command {
	var sources sourceFlags
	var window windowFlags
	var path string
	c := &cobra.Command{
		Use: "collect [sources] --since 30m | --start T --end T -o run.culprit", Short: "Read the sources into an evidence file", Args: cobra.NoArgs,
		Long: "Read the sources over a window that has passed into one evidence file,\nto be analyzed here or elsewhere.",
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

// collectAny reads the window that is named, or what the files of traces span.
func (a *app) collectAny(ctx context.Context, sources *sourceFlags, flags *windowFlags) (*evidence.Bundle, error) {
	if !flags.given() && sources.tracesFilesAlone() {
		return a.collectFiles(ctx, sources, flags)
	}
	w, err := flags.window(a.now())
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
