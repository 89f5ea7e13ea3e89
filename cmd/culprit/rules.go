package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/rules"
)

func (a *app) rulesCommand() *cobra.Command {
	var dirs []string
	c := &cobra.Command{Use: "rules", Short: "The catalogue of causes", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.PersistentFlags().StringArrayVar(&dirs, "rules", nil, "directory of rules that add to or replace the built-in ones; may be repeated")
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "All causes that are weighed", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			return a.withRules(dirs, func(c *rules.Catalogue) error {
				for _, r := range c.Rules {
					fmt.Fprintf(a.stdout, "%-22s %s\n", r.ID, r.Title)
				}
				return nil
			})
		}},
		&cobra.Command{Use: "explain ID", Short: "What a cause is, what speaks for and against it, what to do", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			return a.withRules(dirs, func(c *rules.Catalogue) error {
				r := c.Rule(args[0])
				if r == nil {
					return usage(fmt.Errorf("no rule is called %q: see culprit rules list", args[0]))
				}
				explain(a.stdout, r)
				return nil
			})
		}},
		&cobra.Command{Use: "check DIR", Short: "Check a directory of rules", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			return a.withRules(append(slices.Clone(dirs), args[0]), func(c *rules.Catalogue) error {
				for _, n := range c.Notes {
					fmt.Fprintln(a.stdout, n)
				}
				fmt.Fprintf(a.stdout, "ok: %d rules with those of %s\n", len(c.Rules), args[0])
				return nil
			})
		}},
		&cobra.Command{Use: "test DIR", Short: "Run the tests of rules in a directory: findings in, ranking out", Args: cobra.ExactArgs(1),
			Long: `Run every test in the *.yaml files of a directory against the catalogue, with the
directories of --rules in it. Exit code 1 when one fails. A test is data:

  tests:
  - name: forty calls of one shape
    symptoms: [{service: front, operation: GET /list, p95: 0.8, slow: true}]
    findings:
    - {kind: calls.repeated, service: front, value: 40, impact: {now: 0.8, then: 0.2}}
    - {kind: calls.repeated.recurrence, service: front, value: 0.9}
    expect: {status: causes-found, causes: [{rule: n-plus-one, explains: []}], rejected: []}

Times are in seconds. The list of causes is compared whole and in order.`,
			RunE: func(_ *cobra.Command, args []string) error {
				return a.withRules(dirs, func(c *rules.Catalogue) error { return a.testRules(c, args[0]) })
			}},
	)
	return c
}

// testRules runs the tests of a directory and says of each that fails how.
func (a *app) testRules(c *rules.Catalogue, dir string) error {
	cases, err := rules.ReadCases(os.DirFS(dir))
	if err != nil {
		return usage(fmt.Errorf("tests in %s: %w", dir, err))
	}
	failed := 0
	for _, t := range cases {
		if err := t.Run(c); err != nil {
			failed++
			fmt.Fprintf(a.stdout, "FAIL %s: %s: %s\n", t.File, printable(t.Name), printable(strings.Join(strings.Split(err.Error(), "\n"), "; ")))
		}
	}
	if failed > 0 {
		return &exitError{exitFailed, fmt.Errorf("%d of %d tests failed", failed, len(cases))}
	}
	fmt.Fprintf(a.stdout, "ok: %d tests\n", len(cases))
	return nil
}

func (a *app) withRules(dirs []string, f func(*rules.Catalogue) error) error {
	c, err := rules.Load(dirs...)
	if err != nil {
		return usage(err)
	}
	return f(c)
}

// explain prints a rule as a person reads it.
func explain(w io.Writer, r *rules.Rule) {
	fmt.Fprintf(w, "%s: %s\n\n%s\n\nsubject: %s (%s)\n", r.ID, r.Title, strings.TrimSpace(r.Doc), r.Subject, finders(r.Subject))
	for _, part := range []struct {
		title      string
		conditions []rules.Condition
	}{{"needed", r.When}, {"for", r.For}, {"against", r.Against}} {
		for _, c := range part.conditions {
			fmt.Fprintf(w, "%-8s %s\n", part.title, conditionText(c))
		}
	}
	if len(r.Starts) > 0 {
		fmt.Fprintf(w, "starts %s\n", strings.Join(r.Starts, ", "))
	}
	if len(r.Explains) > 0 {
		fmt.Fprintf(w, "explains %s\n", strings.Join(r.Explains, ", "))
	}
	for _, line := range r.Remedy {
		fmt.Fprintf(w, "\nremedy: %s", strings.TrimSpace(line))
	}
	fmt.Fprintf(w, "\n\nverify: %s\nnot when: %s\n", strings.TrimSpace(r.Verify), strings.TrimSpace(r.NotWhen))
	for _, l := range r.Links {
		fmt.Fprintln(w, "link:", l)
	}
}

func conditionText(c rules.Condition) string {
	s := fmt.Sprintf("%s from %g to %g, weight %g", c.Finding, c.From, c.To, c.Weight)
	if c.Group != "" {
		s += ", group " + c.Group
	}
	if c.On != "" && c.On != "same" {
		s += ", on " + c.On
	}
	return s
}

// finders names the analyzers that report a finding.
func finders(subject rules.Subjects) string {
	var names []string
	for _, an := range analyzers.All() {
		if slices.ContainsFunc(an.Finds, func(k analyzers.Kind) bool { return slices.Contains(subject, k) }) {
			names = append(names, an.Name)
		}
	}
	return "found by " + strings.Join(names, ", ")
}
