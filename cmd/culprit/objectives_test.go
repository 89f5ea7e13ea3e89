package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func objectivesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "culprit.yaml")
	if err := os.WriteFile(path, []byte("objectives:\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestObjectivesGate(t *testing.T) {
	run := recordings + "n-plus-one/run.culprit"
	const orders = "  keep:\n  - {name: orders, operation: GET /orders, measure: p95, max: 5ms, weight: 1}\n"
	for name, c := range map[string]struct {
		config string
		strict bool
		code   int
		text   string
	}{
		"missed":         {orders, false, exitGate, "0 % of the weight held"},
		"outweighed":     {"  pass: 0.5\n" + orders + "  - {name: errors, measure: error_ratio, max: \"0.01\", weight: 3}\n", true, exitOK, ""},
		"vetoed":         {"  pass: 0.5\n" + strings.Replace(orders, "weight", "key: true, weight", 1) + "  - {name: errors, measure: error_ratio, max: \"0.01\", weight: 3}\n", true, exitGate, "key objective missed: orders"},
		"unknown":        {"  keep:\n  - {name: x, operation: GET /nowhere, measure: p95, max: 5ms}\n", false, exitGate, "no objective could be judged"},
		"unknown strict": {"  keep:\n  - {name: x, operation: GET /nowhere, measure: p95, max: 5ms}\n", true, exitInconclusive, "x: the run has no such measure"},
		"rate":           {"  keep:\n  - {name: x, operation: GET /orders, measure: rps, min: 5}\n", true, exitOK, ""},
		"rate missed":    {"  keep:\n  - {name: x, operation: GET /orders, measure: rps, min: 500}\n", true, exitGate, "held"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"analyze", run, "--config", objectivesFile(t, c.config), "--fail-on", "objectives"}
			if c.strict {
				args = append(args, "--strict")
			}
			o := culprit(t, args...)
			if o.code != c.code || !strings.Contains(o.stderr, c.text) || !strings.Contains(o.stdout, "## Objectives: ") {
				t.Errorf("exit code %d, want %d; stderr %q", o.code, c.code, o.stderr)
			}
		})
	}
}

// Runs that pass are kept, those that miss are not, and a relative objective is
// held against those that are.
func TestObjectivesHistory(t *testing.T) {
	config := objectivesFile(t, "  history: kept\n  keep:\n  - {name: orders, operation: GET /orders, measure: p95, relative: 0.2}\n")
	history := filepath.Join(filepath.Dir(config), "kept")
	kept := func() int {
		found, _ := filepath.Glob(filepath.Join(history, "*"))
		return len(found)
	}
	for i, c := range []struct {
		run        string
		code, kept int
	}{{"healthy", exitOK, 1}, {"n-plus-one", exitGate, 1}, {"healthy", exitOK, 1}} {
		o := culprit(t, "analyze", recordings+c.run+"/run.culprit", "--config", config, "--fail-on", "objectives", "--strict")
		if o.code != c.code || kept() != c.kept {
			t.Errorf("run %d: exit code %d, %d kept, stderr %q", i, o.code, kept(), o.stderr)
		}
	}
	if err := os.WriteFile(filepath.Join(history, "passed-1.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	culprit(t, "analyze", recordings+"healthy/run.culprit", "--config", config).wantError(t, exitFailed, "passed-1.json")
}

func TestObjectivesRefused(t *testing.T) {
	for text, want := range map[string]string{
		"  keep: [{measure: p95, max: 1s}]\n":                         "no name",
		"  keep: [{name: x, measure: p42, max: 1s}]\n":                "p42",
		"  keep: [{name: x, measure: p95}]\n":                         "one of max, min, relative",
		"  keep: [{name: x, measure: p95, max: 1s, relative: 0.1}]\n": "one of max, min, relative",
		"  keep: [{name: x, measure: p95, relative: 0.1}]\n":          "needs a history",
		"  keep: [{name: x, measure: p95, min: 1}]\n":                 "min is for rps",
		"  keep: [{name: x, measure: p95, max: soon}]\n":              "no time",
		"  keep: [{name: x, measure: error_ratio, max: \"7\"}]\n":     "0..1",
		"  keep: [{name: x, measure: p95, max: 1s, weight: 0}]\n":     "weight",
		"  pass: 2\n": "pass",
		"  keep: [{name: x, measure: p95, max: 1s, threshold: 5}]\n": "threshold",
	} {
		culprit(t, "analyze", recordings+"healthy/run.culprit", "--config", objectivesFile(t, text)).wantError(t, exitUsage, want)
	}
	culprit(t, "analyze", recordings+"healthy/run.culprit", "--fail-on", "objectives").wantError(t, exitUsage, "the configuration has none")
}
