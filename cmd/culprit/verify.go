package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/rules"
)

func (a *app) verifyCommand() *cobra.Command {
	var v verifyFlags
	c := &cobra.Command{
		Use: "verify REPORT NEW", Short: "Is a cause gone, and did that buy what was promised?", Args: cobra.ExactArgs(2),
		Long: `Look for the causes of an earlier run in a later one; each an evidence file or a
report.json. A cause is gone only where the later run would have shown it: it has
a verdict, at least 0.8 of the load on the operation that the cause slowed, and
the evidence that the cause stood on; otherwise it is untold. What was promised is
held against the p95 that the operation has now.

Exit 3 when a cause remains; with --strict, 4 when nothing can be told of one.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if v.format != "md" && v.format != "json" {
				return usage(fmt.Errorf("no format of a verification is called %q: md, json", v.format))
			}
			return a.verify(args[0], args[1], &v)
		},
	}
	c.Flags().StringVar(&v.format, "format", "md", "md or json")
	c.Flags().StringVar(&v.cause, "cause", "", "rule or fingerprint of the causes to look for (default: all)")
	c.Flags().BoolVar(&v.strict, "strict", false, "exit 4 when nothing can be told of a cause")
	c.Flags().StringArrayVar(&v.rules, "rules", nil, "directory of rules that add to or replace the built-in ones; may be repeated")
	return c
}

type verifyFlags struct {
	format, cause string
	strict        bool
	rules         []string
}

func (a *app) verify(before, after string, flags *verifyFlags) error {
	catalogue, err := rules.Load(flags.rules...)
	if err != nil {
		return usage(err)
	}
	c, err := a.compare(before, after, nil, catalogue)
	if err != nil {
		return usage(err)
	}
	v := report.Verify(c.base.report, c.head.report, [2]string{before, after}, flags.cause, c.changes)
	if flags.cause != "" && len(v.Causes) == 0 {
		return usage(fmt.Errorf("--cause %s: %s has no such cause", flags.cause, before))
	}
	write := v.WriteMarkdown
	if flags.format == "json" {
		write = v.WriteJSON
	}
	if err := write(a.stdout); err != nil {
		return fmt.Errorf("writing the verification: %w", err)
	}
	if text := v.Remaining(); text != "" {
		return &exitError{exitGate, errors.New(text)}
	}
	if text := v.Untold(); flags.strict && text != "" {
		return &exitError{exitInconclusive, errors.New(text)}
	}
	return nil
}
