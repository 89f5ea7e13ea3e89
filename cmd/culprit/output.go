package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/rules"
)

// bundleName is the evidence file below -o DIR.
const bundleName = "run.culprit"

// outputFlags say what becomes of the judgement.
type outputFlags struct {
	dir     string
	format  []string
	brief   bool
	rules   []string
	failOn  string
	strict  bool
	looks   looksFlags
	besides []string // flags with what an evidence file does not hold

	formats    []report.Output
	gate       gate
	objectives *objectivesBlock
	catalogue  *rules.Catalogue
}

func (o *outputFlags) register(f *pflag.FlagSet) {
	o.registerFormat(f)
	o.looks.register(f)
	f.StringArrayVar(&o.rules, "rules", nil, "directory of rules that add to or replace the built-in ones; may be repeated")
	f.StringVar(&o.failOn, "fail-on", "", "exit 3 when a cause matches: any, rule=ID, score>=N, saved>=TIME, share>=N, or objectives of the configuration are missed: objectives; several with commas, any one suffices")
	f.BoolVar(&o.strict, "strict", false, "exit 4 when nothing can be concluded")
}

func (o *outputFlags) registerFormat(f *pflag.FlagSet) {
	names := make([]string, len(report.Formats))
	for i, x := range report.Formats {
		names[i] = x.Name
	}
	f.StringVarP(&o.dir, "output", "o", "", "directory to write report files and the evidence to (default: one format to standard output)")
	f.BoolVar(&o.brief, "brief", false, "one page for an incident: the same as --format brief")
	f.StringSliceVar(&o.format, "format", nil, "formats: "+strings.Join(names, ", ")+" (default md; with -o md,html,json)")
}

// resolve checks everything before a long run begins. The configuration's
// directories of rules are read before those of the flags.
func (o *outputFlags) resolve(c *configuration) (err error) {
	if err := o.looks.resolve(c); err != nil {
		return err
	}
	names := o.format
	if o.brief {
		names = append(names, "brief")
	}
	if len(names) == 0 {
		names = []string{"md"}
		if o.dir != "" {
			names = []string{"md", "html", "json"}
		}
	}
	if o.dir == "" && len(names) > 1 {
		return errors.New("several formats need a directory: -o DIR")
	}
	for _, name := range names {
		f, ok := report.FormatNamed(strings.TrimSpace(name))
		if !ok {
			return fmt.Errorf("no format is called %q", name)
		}
		o.formats = append(o.formats, f)
	}
	if o.gate, err = parseGate(o.failOn); err != nil {
		return err
	}
	if o.objectives = &c.Objectives; o.gate.asks(onObjectives) && len(c.Objectives.Keep) == 0 {
		return errors.New("--fail-on objectives: the configuration has none")
	}
	o.rules = append(slices.Clone(c.Rules), o.rules...)
	if o.catalogue, err = rules.Load(o.rules...); err == nil {
		err = o.gate.check(o.catalogue)
	}
	if err != nil {
		return err
	}
	if o.dir == "" {
		return nil
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("making the output directory: %w", err)
	}
	return nil
}

// conclude analyzes, judges and reports a bundle, and gives the error that
// decides the exit code.
func (a *app) conclude(b *evidence.Bundle, o *outputFlags) error {
	res := analyzers.Run(b)
	j := o.catalogue.Judge(b, res)
	links := o.looks.linksFor(b)
	r := report.Build(b, res, j, report.Options{Version: a.version, Command: o.command(links), Links: links, Zone: o.looks.zone})
	if err := o.objectives.judge(r); err != nil {
		return err
	}
	if err := a.write(r, o); err != nil {
		return err
	}
	if err := o.refuse(j, r); err != nil {
		return err
	}
	return o.objectives.keep(r)
}

// refuse gives the error that decides the exit code: a gate that tripped before
// a run that cannot be judged.
func (o *outputFlags) refuse(j *rules.Judgement, r *report.Report) error {
	if cause := o.gate.trippedBy(j); cause != "" {
		return &exitError{exitGate, fmt.Errorf("--fail-on %s: %s", o.failOn, cause)}
	}
	unknown := ""
	if r.Objectives != nil {
		unknown = r.Objectives.Unknown()
	}
	why := o.gate.missedBy(r)
	if why != "" && !(o.strict && why == report.NoObjectiveJudged) {
		return &exitError{exitGate, fmt.Errorf("--fail-on objectives: %s", why)}
	}
	if o.strict && unknown != "" {
		return &exitError{exitInconclusive, errors.New("an objective could not be judged: " + unknown)}
	}
	if o.strict && (j.Status == rules.Inconclusive || j.Status == rules.RunUnusable) {
		return &exitError{exitInconclusive, fmt.Errorf("%s: %s", j.Status, j.Headline)}
	}
	return nil
}

// said notes a flag that the report needs besides its evidence.
func (o *outputFlags) said(flag, value string) {
	if value != "" {
		o.besides = append(o.besides, flag, value)
	}
}

// command gives the line that makes the report again from its evidence.
func (o *outputFlags) command(links report.Links) string {
	parts := []string{"culprit", "analyze", bundleName}
	for _, dir := range o.rules {
		parts = append(parts, "--rules", shellWord(dir))
	}
	parts = append(parts, o.besides...)
	return strings.Join(append(parts, o.looks.arguments(links)...), " ")
}

// write renders every format: one to stdout, or all into the directory.
func (a *app) write(r *report.Report, o *outputFlags) error {
	for _, f := range o.formats {
		var buf bytes.Buffer
		if err := f.Write(a.screen(&buf, o.dir == ""), r); err != nil {
			return fmt.Errorf("rendering %s: %w", f.Name, err)
		}
		if o.dir == "" {
			if _, err := a.stdout.Write(buf.Bytes()); err != nil {
				return fmt.Errorf("writing the report: %w", err)
			}
			continue
		}
		path := filepath.Join(o.dir, f.File)
		if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		fmt.Fprintln(a.stderr, "wrote", path)
	}
	return nil
}

// keep writes the evidence beside the reports, where there is a directory.
func (a *app) keep(b *evidence.Bundle, o *outputFlags) error {
	if o.dir == "" {
		return nil
	}
	return a.writeBundle(filepath.Join(o.dir, bundleName), b)
}

func (a *app) writeBundle(path string, b *evidence.Bundle) error {
	if err := bundle.WriteFile(path, b); err != nil {
		return err
	}
	fmt.Fprintln(a.stderr, "wrote", path)
	return nil
}
