package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// baselineFlag names what the window is compared with: an earlier run, a part
// of the window, or nothing that is named.
type baselineFlag struct {
	text string
	run  *evidence.BaselineRun
	part *evidence.Window
}

func (f *baselineFlag) register(flags *pflag.FlagSet, of string) {
	flags.StringVar(&f.text, "baseline", "", "what to compare with: "+of+" or none (default: found in the window, or none)")
}

// registerRun is for a window that lies ahead: only an earlier run can be
// named.
func (f *baselineFlag) registerRun(flags *pflag.FlagSet) {
	f.register(flags, "run.culprit of a healthy run,")
}

// resolve reads what is named before anything long begins.
func (f *baselineFlag) resolve() error {
	if f.text == "" || f.text == "none" {
		return nil
	}
	info, err := os.Stat(f.text)
	if filepath.Ext(f.text) == filepath.Ext(bundleName) || err == nil && !info.IsDir() {
		return f.readRun()
	}
	from, to, ok := strings.Cut(f.text, "/")
	if !ok {
		return fmt.Errorf("--baseline %q is neither the evidence file of an earlier run nor START/END", f.text)
	}
	start, err := parseTime("--baseline", from)
	if err != nil {
		return err
	}
	end, err := parseTime("--baseline", to)
	if err != nil {
		return err
	}
	f.part = &evidence.Window{Start: start, End: end}
	return nil
}

func (f *baselineFlag) readRun() error {
	b, err := bundle.ReadFile(f.text)
	if err != nil {
		return fmt.Errorf("--baseline: %w", err)
	}
	f.run = analyzers.BaselineOf(b)
	if len(f.run.Operations) == 0 {
		return fmt.Errorf("--baseline %s: no operation in it has requests enough for a p95", f.text)
	}
	return nil
}

// check refuses a part that does not lie in the window.
func (f *baselineFlag) check(in evidence.Window) error {
	if p := f.part; p != nil && (!p.Start.Before(p.End) || p.Start.Before(in.Start) || p.End.After(in.End)) {
		return fmt.Errorf("--baseline %s is not a time inside the window %s to %s", f.text, in.Start.Format(time.RFC3339), in.End.Format(time.RFC3339))
	}
	return nil
}

// apply puts what was named in the place of what the bundle names itself; none
// takes that away.
func (f *baselineFlag) apply(b *evidence.Bundle) {
	if f.text != "" {
		b.Baseline, b.BaselineRun = f.part, f.run
	}
}
