package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

func (a *app) checkCommand() *cobra.Command {
	var sources sourceFlags
	c := &cobra.Command{
		Use: "check [sources]", Short: "Say what the sources show, and what could be judged with it", Args: cobra.NoArgs,
		Long: "Ask every source whether it answers, which version it is, what may be read, and\nsay which causes could be weighed with that. Exit code 1 when a source fails.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := sources.resolve(); err != nil {
				return usage(err)
			}
			cs, err := sources.collectors(nil, false)
			if err != nil {
				return usage(err)
			}
			catalogue, err := rules.Load(sources.settings.Rules...)
			if err != nil {
				return usage(err)
			}
			watch, stop := a.watch()
			defer stop()
			ctx, cancel := watch.cancelling(c.Context())
			defer cancel()
			return a.check(ctx, cs, sources.timeout, catalogue)
		},
	}
	sources.register(c.Flags())
	return c
}

// check asks the sources one after the other and prints what they say.
func (a *app) check(ctx context.Context, cs []collectors.Collector, timeout time.Duration, catalogue *rules.Catalogue) error {
	visible := map[evidence.Kind]bool{evidence.LoadRuns: true}
	failed := 0
	for _, c := range cs {
		kinds, err := a.checkOne(ctx, c, timeout)
		if err != nil {
			failed++
			fmt.Fprintf(a.stdout, "%s: failed: %s\n", c.Name(), printable(err.Error()))
			continue
		}
		for _, k := range kinds {
			visible[k] = true
		}
	}
	a.printJudgeable(catalogue, visible)
	if failed > 0 {
		return &exitError{exitFailed, fmt.Errorf("%d of %d sources failed the check", failed, len(cs))}
	}
	return nil
}

// checkOne prints one source's answer and gives the kinds it would show.
func (a *app) checkOne(ctx context.Context, c collectors.Collector, timeout time.Duration) ([]evidence.Kind, error) {
	checker, ok := c.(collectors.Checker)
	if !ok {
		fmt.Fprintf(a.stdout, "%s: read when it is needed\n", c.Name())
		return c.Provides(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := checker.Check(ctx)
	if err != nil {
		return nil, err
	}
	what := slices.DeleteFunc([]string{p.Source.Target, p.Source.Version, p.Source.Protocol}, func(s string) bool { return s == "" })
	fmt.Fprintf(a.stdout, "%s: %s\n", c.Name(), printable(strings.Join(what, ", ")))
	for _, line := range p.Lines {
		fmt.Fprintln(a.stdout, "  "+printable(line))
	}
	kinds := slices.Clone(c.Provides())
	for _, g := range p.Gaps {
		fmt.Fprintf(a.stdout, "  not visible: %s\n    remedy: %s\n", printable(g.Reason), printable(g.Remedy))
		kinds = slices.DeleteFunc(kinds, func(k evidence.Kind) bool { return slices.Contains(g.Kinds, k) })
	}
	return kinds, nil
}

// printJudgeable lists the rules whose subject some analyzer could find with
// what is visible, and for the others what is missing.
func (a *app) printJudgeable(c *rules.Catalogue, visible map[evidence.Kind]bool) {
	fmt.Fprintln(a.stdout, "causes that could be weighed:")
	for _, r := range c.Rules {
		missing := missingFor(r, visible)
		if len(missing) == 0 {
			fmt.Fprintf(a.stdout, "  yes  %s\n", r.ID)
			continue
		}
		fmt.Fprintf(a.stdout, "  no   %s (needs %s)\n", r.ID, strings.Join(missing, ", "))
	}
}

// missingFor gives what the best-placed analyzer of a rule's subject lacks.
func missingFor(r *rules.Rule, visible map[evidence.Kind]bool) []string {
	var best []string
	found := false
	for _, an := range analyzers.All() {
		if !slices.ContainsFunc(an.Finds, func(k analyzers.Kind) bool { return slices.Contains(r.Subject, k) }) {
			continue
		}
		var missing []string
		for _, k := range an.Needs {
			if !visible[k] {
				missing = append(missing, string(k))
			}
		}
		any := slices.ContainsFunc(an.NeedsAny, func(k evidence.Kind) bool { return visible[k] })
		if len(an.NeedsAny) > 0 && !any {
			missing = append(missing, string(an.NeedsAny[0]))
		}
		if !found || len(missing) < len(best) {
			best, found = missing, true
		}
	}
	return best
}
