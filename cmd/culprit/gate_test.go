package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// judged has two causes: one that saves 300 of 400 ms, one without a figure.
func judged() *rules.Judgement {
	return &rules.Judgement{Causes: []*rules.Hypothesis{
		{Rule: &rules.Rule{ID: "n-plus-one"}, Subject: evidence.Entity{Service: "web"}, Score: 0.9, Impact: &analyzers.Impact{Now: 0.4, Then: 0.1}},
		{Rule: &rules.Rule{ID: "pool-saturation"}, Score: 0.4},
	}}
}

// A gate that could never trip is no gate.
func TestGateOfNothing(t *testing.T) {
	bundle := filepath.Join(root(t), "testdata", "scenarios", "healthy", "run.culprit")
	for text, want := range map[string]string{"rule=n-plus-1": "no rule is called", "any,rule=duplicate-index": "never a cause"} {
		culprit(t, "analyze", bundle, "--fail-on", text).wantError(t, exitUsage, want)
	}
}

func TestGate(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"any":                       "n-plus-one",
		"score>=0.8":                "n-plus-one",
		"score>=0.95":               "",
		"saved>=500ms":              "",
		"saved>=100ms":              "n-plus-one",
		"share>=0.5":                "n-plus-one",
		"rule=pool-saturation":      "pool-saturation",
		"rule=x, score >= 0.95":     "",
		"rule=x, saved >= 0.2s":     "n-plus-one",
		"rule=x,rule=n-plus-one,,,": "n-plus-one",
	} {
		g, err := parseGate(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := g.trippedBy(judged()); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: tripped by %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"all", "score>0.5", "score>=x", "score>=1.5", "saved>=5", "rule=", "rule", "p95>=1"} {
		if _, err := parseGate(text); err == nil {
			t.Errorf("%q is a gate", text)
		}
	}
}
