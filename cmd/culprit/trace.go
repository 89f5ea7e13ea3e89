package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/collectors/traces"
)

// traceFlags say where the traces are and which of them is meant.
type traceFlags struct {
	sources sourceFlags // --traces, --traces-file and --config of them
	bundle  string
	format  string
	id      evidence.TraceID // zero: all
}

func (a *app) traceCommand() *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use: "trace [ID] --traces URL | --traces-file F | --bundle run.culprit", Short: "Explain single traces: critical path, time by operation, patterns", Args: cobra.MaximumNArgs(1),
		Long: `Explain one trace of a trace store by its id, or the traces of a file or of an
evidence file one by one: what the request waited for, and the patterns found in
it. The JSON format is one object a line.`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.resolve(args); err != nil {
				return usage(err)
			}
			b, err := f.read(c.Context())
			if err != nil {
				return err
			}
			return a.explainTraces(b, &f)
		},
	}
	f.sources.registerTraces(c.Flags())
	c.Flags().StringVar(&f.bundle, "bundle", "", "evidence file")
	c.Flags().StringVar(&f.format, "format", "text", "text or json")
	return c
}

// resolve settles which traces of which one source are meant.
func (f *traceFlags) resolve(args []string) error {
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("no format of a trace is called %q: text, json", f.format)
	}
	if len(args) == 1 {
		id, err := evidence.ParseTraceID(args[0])
		if err != nil {
			return err
		}
		f.id = id
	}
	if err := f.sources.resolve(); err != nil {
		return err
	}
	t := f.sources.settings.Traces
	named := 0
	for _, given := range []bool{t.URL != "", len(t.Files) > 0, f.bundle != ""} {
		if given {
			named++
		}
	}
	switch {
	case named == 0:
		return errors.New("which traces? give --traces URL, --traces-file F or --bundle run.culprit")
	case named > 1:
		return errors.New("--traces, --traces-file and --bundle exclude each other")
	case t.URL != "" && f.id.IsZero():
		return errors.New("which trace of the store? give its id")
	}
	return nil
}

func (f *traceFlags) read(ctx context.Context) (*evidence.Bundle, error) {
	switch t := f.sources.settings.Traces; {
	case f.bundle != "":
		b, err := bundle.ReadFile(f.bundle)
		return b, usage(err)
	case t.URL != "":
		return f.fetch(ctx)
	}
	var cs []collectors.Collector
	var errs []error
	f.sources.addTraces(func(c collectors.Collector, err error) { cs, errs = append(cs, c), append(errs, err) }, f.sources.tracesConfig(nil), false)
	if err := errors.Join(errs...); err != nil {
		return nil, usage(err)
	}
	b, err := collectors.Collect(ctx, evidence.Window{}, cs, collectors.Options{Timeout: time.Hour})
	return b, usage(err)
}

// fetch asks the store for the one trace.
func (f *traceFlags) fetch(ctx context.Context) (*evidence.Bundle, error) {
	c, err := traces.New(f.sources.tracesConfig(nil))
	if err != nil {
		return nil, usage(err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.sources.timeout)
	defer cancel()
	spans, err := c.Trace(ctx, f.id, evidence.Window{})
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	return &evidence.Bundle{Spans: spans}, nil
}

func (a *app) explainTraces(b *evidence.Bundle, f *traceFlags) error {
	found := false
	for _, t := range analyzers.BuildTraces(b) {
		if !f.id.IsZero() && t.ID != f.id {
			continue
		}
		found = true
		r := analyzers.Explain(t)
		write := writeTrace
		if f.format == "json" {
			write = func(w io.Writer, r *analyzers.TraceReport) error { return json.NewEncoder(w).Encode(r) }
		}
		if err := write(a.stdout, &r); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
	}
	for _, g := range b.Gaps {
		fmt.Fprintf(a.stderr, "%s: %s\n", g.Source, printable(g.Reason))
	}
	if !found {
		return usage(errors.New("no such trace is there"))
	}
	return nil
}

// writeTrace is for people: the root, who held it up, and what was seen.
func writeTrace(w io.Writer, r *analyzers.TraceReport) error {
	ms := func(ns int64) string { return fmt.Sprintf("%10.3f ms", float64(ns)/1e6) }
	var b strings.Builder
	fmt.Fprintf(&b, "trace %s\n%s  %s %s\n\ntime on the critical path:\n", r.TraceID, ms(r.Root.End-r.Root.Start), r.Root.Service, r.Root.Operation)
	for _, x := range r.Exclusive {
		fmt.Fprintf(&b, "%s  %5.1f %%  %s %s\n", ms(x.Time), share(x.Time, r.Root.End-r.Root.Start), x.Service, x.Operation)
	}
	for _, p := range r.Patterns {
		fmt.Fprintf(&b, "\npattern %s in %s %s: %d x %s, %s on the path\n", p.Rule, p.Service, p.Operation, p.Count, p.Callee, strings.TrimLeft(ms(p.OnPath), " "))
	}
	for _, repair := range r.Repairs {
		fmt.Fprintf(&b, "repaired: %s\n", repair)
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
