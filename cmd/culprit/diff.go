package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/rules"
)

func (a *app) diffCommand() *cobra.Command {
	var format string
	var dirs, repeats []string
	var failOn string
	var strict bool
	c := &cobra.Command{
		Use: "diff BASE HEAD", Short: "What changed between two runs", Args: cobra.ExactArgs(2),
		Long: `Compare two evidence files, or two report.json: causes by fingerprint as new,
fixed, worse, better or same, and the p95 of every operation. A change of latency
is told only when it lies beyond the noise between runs: 95 % interval, corrected
for the number of operations, and a tenth at least. Further runs of the base's
load, given with --repeat, teach how far runs differ by themselves; without any,
only large changes are told. Where all operations moved together a change is
unknown: it may be the machine. Reports alone hold less than evidence files:
there only p95s whose buckets do not touch are told apart.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "md" && format != "json" {
				return usage(fmt.Errorf("no format of a difference is called %q: md, json", format))
			}
			if failOn != "" && failOn != "worse" {
				return usage(fmt.Errorf("--fail-on %q: a difference knows worse alone", failOn))
			}
			catalogue, err := rules.Load(dirs...)
			if err != nil {
				return usage(err)
			}
			d, err := a.diff(args[0], args[1], repeats, catalogue)
			if err != nil {
				return usage(err)
			}
			return a.writeDiff(d, format, failOn, strict)
		},
	}
	c.Flags().StringVar(&format, "format", "md", "md or json")
	c.Flags().StringVar(&failOn, "fail-on", "", "worse: exit 3 when a cause is new or worse, or an operation slower")
	c.Flags().BoolVar(&strict, "strict", false, "exit 4 when nothing is worse and something could not be compared")
	c.Flags().StringArrayVar(&repeats, "repeat", nil, "evidence file of another run like BASE: what they differ by is noise; may be repeated")
	c.Flags().StringArrayVar(&dirs, "rules", nil, "directory of rules that add to or replace the built-in ones; may be repeated")
	return c
}

// side is one of the two runs; evidence is nil where only a report is left.
type side struct {
	evidence *evidence.Bundle
	report   *report.Report
}

// comparison is two runs and how their latencies differ.
type comparison struct {
	base, head *side
	changes    []analyzers.Change
}

func (a *app) diff(base, head string, repeats []string, catalogue *rules.Catalogue) (*report.Diff, error) {
	c, err := a.compare(base, head, repeats, catalogue)
	if err != nil {
		return nil, err
	}
	return report.Compare(c.base.report, c.head.report, [2]string{base, head}, c.changes, len(repeats)), nil
}

func (a *app) compare(base, head string, repeats []string, catalogue *rules.Catalogue) (*comparison, error) {
	b, err := a.readSide(base, catalogue)
	if err != nil {
		return nil, err
	}
	h, err := a.readSide(head, catalogue)
	if err != nil {
		return nil, err
	}
	c := &comparison{base: b, head: h}
	switch {
	case b.evidence != nil && h.evidence != nil:
		more, err := readRepeats(repeats)
		if err != nil {
			return nil, err
		}
		c.changes = analyzers.Compare(b.evidence, h.evidence, more...)
	case len(repeats) > 0:
		return nil, errors.New("--repeat needs evidence files on both sides, not reports")
	default:
		c.changes = analyzers.CompareSymptoms(b.report.Measured(), h.report.Measured())
	}
	return c, nil
}

func readRepeats(paths []string) (out []*evidence.Bundle, err error) {
	for _, path := range paths {
		b, err := bundle.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--repeat: %w", err)
		}
		out = append(out, b)
	}
	return out, nil
}

// readSide reads an evidence file, or a JSON report, whichever it is.
func (a *app) readSide(path string, catalogue *rules.Catalogue) (*side, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the run: %w", err)
	}
	defer f.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(f, first); err != nil {
		return nil, fmt.Errorf("%s: empty: neither an evidence file nor a report.json", path)
	}
	if first[0] == '{' {
		r, err := report.Read(io.MultiReader(bytes.NewReader(first), f))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return &side{report: r}, nil
	}
	b, err := bundle.ReadFile(path)
	if err != nil {
		return nil, err
	}
	res := analyzers.Run(b)
	return &side{b, report.Build(b, res, catalogue.Judge(b, res), report.Options{Version: a.version})}, nil
}

func (a *app) writeDiff(d *report.Diff, format, failOn string, strict bool) error {
	write := d.WriteMarkdown
	if format == "json" {
		write = d.WriteJSON
	}
	if err := write(a.stdout); err != nil {
		return fmt.Errorf("writing the difference: %w", err)
	}
	if text := d.Regressed(); failOn != "" && text != "" {
		return &exitError{exitGate, errors.New("--fail-on worse: " + text)}
	}
	if text := d.Unsettled(); strict && text != "" {
		return &exitError{exitInconclusive, errors.New(text)}
	}
	return nil
}
