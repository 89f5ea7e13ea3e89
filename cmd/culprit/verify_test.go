package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/report"
)

const recordings = "../../testdata/scenarios/"

func verified(t *testing.T, args ...string) (report.Verification, outcome) {
	t.Helper()
	o := culprit(t, append([]string{"verify", "--format", "json"}, args...)...)
	var v report.Verification
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil {
		t.Fatalf("exit code %d, %v, stderr %q", o.code, err, o.stderr)
	}
	return v, o
}

// A recorded fault against the recorded healthy run: gone, and what was
// promised is held against what was measured; against itself: it remains.
func TestVerifyRecorded(t *testing.T) {
	for _, fault := range []string{"n-plus-one", "missing-index", "pool-saturation"} {
		before := recordings + fault + "/run.culprit"
		v, o := verified(t, before, recordings+"healthy/run.culprit", "--strict", "--cause", fault)
		if o.code != exitOK || len(v.Causes) != 1 || v.Causes[0].Verdict != report.CauseGone || v.Causes[0].Promise != report.PromiseKept {
			t.Errorf("%s: exit code %d, %+v", fault, o.code, v.Causes)
		}
		v, o = verified(t, recordings+fault+"/report.json", before, "--cause", fault)
		if o.code != exitGate || v.Causes[0].Verdict != report.CauseRemains {
			t.Errorf("%s against itself: exit code %d, %+v", fault, o.code, v.Causes)
		}
	}
}

// A later run without load on the operation, or without the evidence that the
// cause stood on, tells nothing.
func TestVerifyUntold(t *testing.T) {
	before := recordings + "n-plus-one/run.culprit"
	dir := t.TempDir()
	b, err := bundle.ReadFile(recordings + "healthy/run.culprit")
	if err != nil {
		t.Fatal(err)
	}
	spans := b.Spans
	b.Spans, b.Weights, b.Postgres = nil, nil, nil
	blind := filepath.Join(dir, "blind.culprit")
	if err := bundle.WriteFile(blind, b); err != nil {
		t.Fatal(err)
	}
	v, o := verified(t, before, blind, "--cause", "n-plus-one")
	if o.code != exitOK || v.Causes[0].Verdict != report.CauseUntold || !strings.Contains(v.Causes[0].Reason, "lacked") {
		t.Errorf("no traces: exit code %d, %+v", o.code, v.Causes)
	}
	culprit(t, "verify", before, blind, "--strict", "--cause", "n-plus-one").wantError(t, exitInconclusive, "untold")
	b.Spans = spans[:0]
	for _, s := range spans {
		if s.Name != "GET /orders" {
			b.Spans = append(b.Spans, s)
		}
	}
	kept := b.Histograms[:0]
	for _, h := range b.Histograms {
		if h.Entity.Operation != "GET /orders" {
			kept = append(kept, h)
		}
	}
	b.Histograms = kept
	idle := filepath.Join(dir, "idle.culprit")
	if err := bundle.WriteFile(idle, b); err != nil {
		t.Fatal(err)
	}
	if v, _ = verified(t, before, idle, "--cause", "n-plus-one"); v.Causes[0].Verdict != report.CauseUntold || !strings.Contains(v.Causes[0].Reason, "no load") {
		t.Errorf("no load: %+v", v.Causes)
	}
}

func TestVerifyUsage(t *testing.T) {
	run := recordings + "healthy/run.culprit"
	culprit(t, "verify", run).wantError(t, exitUsage, "accepts 2 arg")
	culprit(t, "verify", run, "/no/such").wantError(t, exitUsage, "/no/such")
	culprit(t, "verify", run, run, "--format", "html").wantError(t, exitUsage, `"html"`)
	culprit(t, "verify", run, run, "--cause", "n-plus-one").wantError(t, exitUsage, "no such cause")
	if o := culprit(t, "verify", run, run); o.code != exitOK || !strings.HasPrefix(o.stdout, "# The earlier run had no cause\n") {
		t.Errorf("exit code %d, %q", o.code, o.stdout)
	}
}
