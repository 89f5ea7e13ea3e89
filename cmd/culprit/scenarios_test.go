package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/report"
)

var update = flag.Bool("update", false, "write the golden reports of testdata/scenarios anew")

const recorded = "../../testdata/scenarios"

// maxBundle is the size that a recorded bundle may have.
const maxBundle = 1_000_000

// planted is a cause as a lab scenario names it: substrings of its subject.
type planted struct{ Rule, Service, Operation, Resource string }

func (w planted) matches(c report.Cause) bool {
	return c.Rule == w.Rule && strings.Contains(c.Subject.Service, w.Service) && strings.Contains(c.Subject.Operation, w.Operation) && strings.Contains(c.Subject.Resource, w.Resource)
}

// expectation is what a lab scenario says of its planted fault, or of the run.
type expectation struct {
	Fault, Load map[string]any
	Expect      *planted
	Pair        []planted
	Also        []planted
	Flaw        string
}

// recordedRuns lists the recorded bundles.
func recordedRuns(t *testing.T) []string {
	t.Helper()
	bundles, err := filepath.Glob(filepath.Join(recorded, "*", "run.culprit"))
	if err != nil || len(bundles) < 7 {
		t.Fatalf("%d recorded scenarios, %v: record them by testdata/lab (go run . --record matrix) and run this test with -update", len(bundles), err)
	}
	return bundles
}

// Every recorded run of the lab is judged again: the planted cause stands
// first with the right subject, healthy has none, and the reports of every
// format are the golden ones, byte for byte.
func TestRecordedScenarios(t *testing.T) {
	for _, bundle := range recordedRuns(t) {
		name := filepath.Base(filepath.Dir(bundle))
		t.Run(name, func(t *testing.T) {
			if info, err := os.Stat(bundle); err != nil || info.Size() > maxBundle {
				t.Errorf("%s: %v bytes, %v; want at most %d", bundle, info.Size(), err, maxBundle)
			}
			out, again := analyzed(t, bundle), analyzed(t, bundle)
			holdExpectation(t, name, out["report.json"])
			for _, f := range report.Formats {
				if !bytes.Equal(out[f.File], again[f.File]) {
					t.Errorf("%s differs between two runs", f.File)
				}
				if f.Name == "gitlab" && bytes.Equal(out[f.File], out["report.md"]) {
					continue // the same while it fits a comment: one file to review
				}
				golden(t, goldenPath(filepath.Dir(bundle), f), out[f.File])
			}
		})
	}
}

// goldenPath puts the reports that people and programs read most beside the
// bundle, and the others into a folder of their own.
func goldenPath(dir string, f report.Output) string {
	switch f.Name {
	case "md", "html", "json":
		return filepath.Join(dir, f.File)
	}
	return filepath.Join(dir, "formats", f.File)
}

// analyzed runs `culprit analyze` on a bundle and gives the files it wrote, one
// a format.
func analyzed(t *testing.T, bundle string) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	names := make([]string, len(report.Formats))
	for i, f := range report.Formats {
		names[i] = f.Name
	}
	var stderr bytes.Buffer
	a := &app{stdout: io.Discard, stderr: &stderr, now: time.Now, version: "golden"}
	if code := a.main([]string{"analyze", bundle, "--format", strings.Join(names, ","), "-o", dir}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	out := map[string][]byte{}
	for _, f := range report.Formats {
		text, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil {
			t.Fatal(err)
		}
		out[f.File] = text
	}
	return out
}

func holdExpectation(t *testing.T, name string, text []byte) {
	t.Helper()
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	want := expected(t, name)
	if want.Expect == nil {
		status, words := "no-problem", ""
		if want.Flaw != "" {
			status, words = "run-unusable", want.Flaw
		}
		if len(r.Causes) != 0 || string(r.Verdict.Status) != status || !strings.Contains(r.Verdict.Headline, words) {
			t.Errorf("verdict %s with %d causes: %s; want %s that says %q", r.Verdict.Status, len(r.Causes), r.Verdict.Headline, status, words)
		}
		return
	}
	if len(r.Causes) == 0 {
		t.Fatalf("verdict %s: no cause, want %s", r.Verdict.Status, want.Expect.Rule)
	}
	if c := r.Causes[0]; !want.Expect.matches(c) {
		t.Errorf("first is %s at %s, want %+v", c.Rule, c.Subject, *want.Expect)
	}
	holdOthers(t, want, r.Causes)
}

// holdOthers wants every cause planted beside the first, and none that neither
// was planted nor follows from what was.
func holdOthers(t *testing.T, want expectation, causes []report.Cause) {
	t.Helper()
	known := map[int]bool{}
	for _, w := range append([]planted{*want.Expect}, want.Pair...) {
		at := slices.IndexFunc(causes, w.matches)
		if at < 0 {
			t.Errorf("%s is not among the causes", w.Rule)
			continue
		}
		known[causes[at].Rank] = true
		for _, rank := range causes[at].Explains {
			known[rank] = true
		}
	}
	for _, c := range causes {
		if !known[c.Rank] && !slices.ContainsFunc(want.Also, func(w planted) bool { return w.matches(c) }) {
			t.Errorf("false cause: %s at %s", c.Rule, c.Subject)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// expected reads what the lab's scenario of that name plants: NAME, or
// NAME+HANDICAP with what was planted beside it where names were others.
func expected(t *testing.T, name string) (e expectation) {
	t.Helper()
	own, handicap, _ := strings.Cut(name, "+")
	path := filepath.Join("../../testdata/lab/scenarios", own+".yaml")
	if planted := filepath.Join(recorded, name, "planted.yaml"); handicap != "" && exists(planted) {
		path = planted
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// golden compares with a golden file, or writes it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run with -update", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; see what changed with -update and git diff", path)
	}
}

// whatIfs are the scenarios of which the p95 that is left is foretold as well,
// not its fall alone: where a fault takes a hundred times what is left, a small
// error of the fall is a large one of the rest.
var whatIfs = []string{"n-plus-one", "missing-index", "pool-saturation", "serial-calls"}

// maxGainError bounds the median error of the predicted gains.
const maxGainError = 0.25

// What culprit says a fix would buy is held against what it did buy: the p95
// of the same operation under the same load without the fault.
func TestPredictedGains(t *testing.T) {
	var errs, offs []float64
	for _, bundle := range recordedRuns(t) {
		if strings.Contains(bundle, "+") {
			continue // what was hidden does not change what a fix buys
		}
		causes := reportOf(t, bundle).Causes
		if len(causes) == 0 {
			continue
		}
		healthy := healthySymptoms(t, bundle)
		for _, c := range causes[:min(1, len(causes))] {
			i := c.Impact
			at := slices.IndexFunc(healthy, func(s report.Symptom) bool { return s.Service == i.Service && s.Operation == i.Operation })
			if healthy == nil {
				t.Logf("%s: no healthy run of its load is recorded", bundle)
				continue
			}
			if at < 0 {
				t.Fatalf("%s: no healthy run has %s", bundle, i.Operation)
			}
			bought := i.Now - healthy[at].P95
			errs = append(errs, math.Abs(i.Saved-bought)/bought)
			off := math.Abs(i.Then-healthy[at].P95) / healthy[at].P95
			if slices.Contains(whatIfs, filepath.Base(filepath.Dir(bundle))) {
				offs = append(offs, off)
			}
			t.Logf("%-18s %s %s: %.1f ms to save, %.1f ms saved, error %.0f %%; then %.1f ms, was %.1f ms, error %.0f %%", c.Rule, i.Service, i.Operation,
				i.Saved*1000, bought*1000, 100*errs[len(errs)-1], i.Then*1000, healthy[at].P95*1000, 100*off)
		}
	}
	for what, all := range map[string][]float64{"gains": errs, "p95 without the cause": offs} {
		slices.Sort(all)
		if median := all[len(all)/2]; median > maxGainError {
			t.Errorf("the median error of the predicted %s is %.0f %%, want at most %.0f %%", what, 100*median, 100*maxGainError)
		}
	}
}

// healthySymptoms of the recorded run of the same load in which nothing was
// planted; nil where none is.
func healthySymptoms(t *testing.T, bundle string) []report.Symptom {
	t.Helper()
	load := expected(t, filepath.Base(filepath.Dir(bundle))).Load
	for _, other := range recordedRuns(t) {
		e := expected(t, filepath.Base(filepath.Dir(other)))
		if len(e.Fault) == 0 && e.Expect == nil && e.Flaw == "" && reflect.DeepEqual(e.Load, load) {
			return reportOf(t, other).Symptoms
		}
	}
	return nil
}

func reportOf(t *testing.T, bundle string) (r report.Report) {
	t.Helper()
	if err := json.Unmarshal(analyzed(t, bundle)["report.json"], &r); err != nil {
		t.Fatal(err)
	}
	return r
}
