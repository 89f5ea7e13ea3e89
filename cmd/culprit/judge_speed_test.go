package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// BenchmarkJudge measures what stands between the evidence and the ranking,
// every analyzer and every rule: over the largest recorded run, and over the
// metrics of a throttled run that so many like systems share that they are a
// hundred thousand series, each system with its slow operations and its cause.
func BenchmarkJudge(b *testing.B) {
	catalogue := loadRules(b)
	b.Run("largest-recording", judgeAgain(catalogue, theRun(b, "throttled-and-n-plus-one")))
	b.Run("100000-series", judgeAgain(catalogue, multiplied(theRun(b, "cpu-throttling"), 100_000)))
}

func judgeAgain(c *rules.Catalogue, of *evidence.Bundle) func(*testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if j := c.Judge(of, analyzers.Run(of)); len(j.Causes) == 0 {
				b.Fatal("no cause was found")
			}
		}
		b.ReportMetric(float64(len(of.Series)), "series")
	}
}

func loadRules(b *testing.B) *rules.Catalogue {
	b.Helper()
	c, err := rules.Load()
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func theRun(b *testing.B, scenario string) *evidence.Bundle {
	b.Helper()
	run, err := bundle.ReadFile(filepath.Join(recorded, scenario, "run.culprit"))
	if err != nil {
		b.Fatal(err)
	}
	run.Sort()
	return run
}

// multiplied repeats the metrics of a run under other names of its services.
// Spans and the database stay as they are.
func multiplied(run *evidence.Bundle, series int) *evidence.Bundle {
	out := *run
	for n := 1; len(out.Series) < series; n++ {
		for _, s := range run.Series {
			s.Entity = another(s.Entity, n)
			out.Series = append(out.Series, s)
		}
		for _, h := range run.Histograms {
			h.Entity = another(h.Entity, n)
			out.Histograms = append(out.Histograms, h)
		}
	}
	out.Sort()
	return &out
}

func another(e evidence.Entity, n int) evidence.Entity {
	for _, part := range []*string{&e.Service, &e.Instance, &e.Resource} {
		if *part != "" {
			*part = fmt.Sprintf("%s-%d", *part, n)
		}
	}
	return e
}
