package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// To see less never makes surer. A flaw of the run that the load tool alone tells
// of caps every score, and who does not know of it cannot: who loses the load
// tool is held against the judgement without the flaw.
func TestLosingASourceRaisesNoScore(t *testing.T) {
	onRecorded(t, func(t *testing.T, path string) {
		full, result := judge(t, recordedBundle(t, path))
		for name, lose := range map[string]func(*evidence.Bundle){
			"traces":     func(b *evidence.Bundle) { b.Spans, b.Weights = nil, nil },
			"prometheus": func(b *evidence.Bundle) { b.Series, b.Histograms = seriesOfPostgres(b), nil },
			"postgres":   func(b *evidence.Bundle) { b.Series, b.Postgres = withoutSeries(b, seriesOfPostgres(b)), nil },
			"load":       func(b *evidence.Bundle) { b.Loads = nil },
		} {
			b, with := recordedBundle(t, path), full
			lose(b)
			if name == "load" && len(full.Flaws) > 0 {
				with = judgeWithoutFlaws(t, recordedBundle(t, path), result, full)
			}
			less, _ := judge(t, b)
			for _, c := range less.Causes {
				if best, known := bestScore(with, c.Rule.ID); known && c.Score > best+1e-9 {
					t.Errorf("without %s the score of %s at %s rises from %.3f to %.3f", name, c.Rule.ID, c.Subject, best, c.Score)
				}
			}
		}
	})
}

// judgeWithoutFlaws takes the findings of a run's flaws out of a result.
func judgeWithoutFlaws(t *testing.T, b *evidence.Bundle, r *analyzers.Result, full *rules.Judgement) *rules.Judgement {
	t.Helper()
	flaws := map[analyzers.Kind]bool{}
	for _, h := range full.Flaws {
		flaws[h.Finding.Kind] = true
	}
	sound := *r
	sound.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f analyzers.Finding) bool { return flaws[f.Kind] })
	catalogue, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	return catalogue.Judge(b, &sound)
}

// seriesOfPostgres are those that the PostgreSQL collector itself took.
func seriesOfPostgres(b *evidence.Bundle) (out []evidence.Series) {
	for _, s := range b.Series {
		if strings.Contains(s.Query, "/* culprit */") || strings.HasPrefix(s.Query, "SHOW ") {
			out = append(out, s)
		}
	}
	return out
}

func withoutSeries(b *evidence.Bundle, gone []evidence.Series) (out []evidence.Series) {
	drop := map[string]bool{}
	for _, s := range gone {
		drop[string(s.Kind)+s.Query] = true
	}
	for _, s := range b.Series {
		if !drop[string(s.Kind)+s.Query] {
			out = append(out, s)
		}
	}
	return out
}

// bestScore that a rule has anywhere in a judgement, and whether it has one: a
// hypothesis that was rejected for its gain has none.
func bestScore(j *rules.Judgement, rule string) (best float64, known bool) {
	var look func(list []*rules.Hypothesis)
	look = func(list []*rules.Hypothesis) {
		for _, h := range list {
			if h.Rule.ID == rule {
				best, known = max(best, h.Score), true
			}
			look(h.Explains)
		}
	}
	look(j.Causes)
	look(j.Leads)
	look(j.Housekeeping)
	var weighed float64
	for _, r := range j.Rejected {
		if n, _ := fmt.Sscanf(r.Reason, "the evidence weighs %f,", &weighed); r.Rule == rule && n == 1 {
			best, known = max(best, weighed), true
		}
	}
	return best, known
}
