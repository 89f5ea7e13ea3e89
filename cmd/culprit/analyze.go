package main

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/collectors/bundle"
)

func (a *app) analyzeCommand() *cobra.Command {
	var sources sourceFlags
	var window windowFlags
	var output outputFlags
	var file string
	c := &cobra.Command{
		Use: "analyze [run.culprit | sources and window]", Short: "Report on an evidence file, or on live sources", Args: cobra.MaximumNArgs(1),
		Long: "Report on an evidence file, or on live sources over a window that has passed.\nWithout a window, a --load file that says when its run was gives it. The same evidence gives the same bytes.",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				file = args[0]
			}
			if err := sources.resolve(); err != nil {
				return usage(err)
			}
			if err := output.resolve(sources.settings); err != nil {
				return usage(err)
			}
			if file == "" {
				return a.analyzeLive(c, &sources, &window, &output)
			}
			if sources.flagged() || window.given() {
				return usage(errors.New("an evidence file has its own sources and window: leave the others out"))
			}
			return a.analyzeFile(file, &sources, &window, &output)
		},
	}
	sources.register(c.Flags())
	window.register(c.Flags())
	output.register(c.Flags())
	c.Flags().StringVar(&file, "bundle", "", "evidence file, as the argument")
	return c
}

// analyzeFile judges an evidence file, with what is said of it besides.
func (a *app) analyzeFile(path string, sources *sourceFlags, window *windowFlags, output *outputFlags) error {
	events, err := readEvents(sources.settings.Events)
	if err != nil {
		return usage(err)
	}
	if err := window.baseline.resolve(); err != nil {
		return usage(err)
	}
	b, err := bundle.ReadFile(path)
	if err != nil {
		return usage(err)
	}
	if err := window.baseline.check(b.Window); err != nil {
		return usage(err)
	}
	window.baseline.apply(b)
	events.addTo(b)
	sources.settings.Prices.addTo(b)
	output.said("--baseline", window.baseline.text)
	output.said("--events", sources.settings.Events)
	return a.conclude(b, output)
}

// analyzeLive reports whatever arrived, and lets the trouble of the
// collection decide the exit code before that of the judgement.
func (a *app) analyzeLive(c *cobra.Command, sources *sourceFlags, window *windowFlags, output *outputFlags) error {
	b, err := a.collectPast(c.Context(), sources, window)
	if b == nil {
		return err
	}
	kept := a.keep(b, output)
	return cmp.Or(kept, err, a.conclude(b, output))
}
