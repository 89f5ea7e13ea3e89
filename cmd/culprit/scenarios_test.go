package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/rules"
)

var update = flag.Bool("update", false, "write the golden reports anew")

const (
	recordings   = "../../testdata/scenarios"     // NAME/run.culprit and its golden reports
	planted      = "../../testdata/lab/scenarios" // NAME.yaml says which cause was planted
	maxRecording = 1 << 20
)

// TestRecordedScenarios analyzes the evidence of every scenario of the lab as
// it was recorded from the real system, and holds rank, subject and bytes.
func TestRecordedScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(planted, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s: %v", planted, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(recordings, name)
			info, err := os.Stat(filepath.Join(dir, bundleName))
			if err != nil {
				t.Fatalf("not recorded: go -C testdata/lab run . --record run %s (%v)", name, err)
			}
			if info.Size() > maxRecording {
				t.Errorf("the recording has %d bytes, at most %d", info.Size(), maxRecording)
			}
			first, second := analyzed(t, dir), analyzed(t, dir)
			for _, f := range []string{"report.md", "report.json"} {
				sameFile(t, filepath.Join(first, f), filepath.Join(second, f))
				golden(t, filepath.Join(dir, f), filepath.Join(first, f))
			}
			checkDiagnosis(t, file, readReport(t, first))
		})
	}
}

func analyzed(t *testing.T, dir string) string {
	t.Helper()
	out := t.TempDir()
	if o := culprit(t, "analyze", filepath.Join(dir, bundleName), "--format", "md,json", "-o", out); o.code != exitOK {
		t.Fatalf("exit code %d: %s", o.code, o.stderr)
	}
	return out
}

// golden compares, and leaves what it got beside the golden file.
func golden(t *testing.T, want, got string) {
	t.Helper()
	content, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(want), ".got-"+filepath.Base(want))
	if *update {
		_ = os.Remove(beside)
		if err := os.WriteFile(want, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if expected, err := os.ReadFile(want); err != nil || !bytes.Equal(expected, content) {
		_ = os.WriteFile(beside, content, 0o644)
		t.Errorf("%s differs from %s (%v); go test ./cmd/culprit -run Recorded -update takes it over", want, beside, err)
	}
}

// checkDiagnosis holds the report against what was planted.
func checkDiagnosis(t *testing.T, file string, r *report.Report) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var scenario struct {
		Expect struct{ Rule, Service, Operation, Resource string } `yaml:"expect"`
	}
	if err := yaml.Unmarshal(content, &scenario); err != nil {
		t.Fatal(err)
	}
	want := scenario.Expect
	if want.Rule == "" {
		if r.Verdict.Status != rules.NoProblem || len(r.Causes) != 0 {
			t.Errorf("healthy, but the verdict is %s with %d causes", r.Verdict.Status, len(r.Causes))
		}
		return
	}
	if len(r.Causes) == 0 {
		t.Fatalf("no cause, verdict %s: %s", r.Verdict.Status, r.Verdict.Headline)
	}
	top := r.Causes[0]
	if top.Rule != want.Rule || !strings.Contains(top.Subject.Service, want.Service) || !strings.Contains(top.Subject.Operation, want.Operation) || !strings.Contains(top.Subject.Resource, want.Resource) {
		t.Errorf("rank 1 is %s at %+v, want %+v", top.Rule, top.Subject, want)
	}
}

// One trace of a recording explained: the segments partition the root.
func TestExplainRecordedTraces(t *testing.T) {
	o := culprit(t, "trace", "--bundle", filepath.Join(recordings, "n-plus-one", bundleName), "--format", "json")
	if o.code != exitOK {
		t.Fatalf("exit code %d: %s", o.code, o.stderr)
	}
	type span struct {
		Start int64 `json:"start_ns"`
		End   int64 `json:"end_ns"`
	}
	seen := 0
	for line := range strings.Lines(o.stdout) {
		var r struct {
			Root     span   `json:"root"`
			Segments []span `json:"segments"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		at := r.Root.Start
		for _, s := range r.Segments {
			if s.Start != at {
				t.Fatalf("a segment begins at %d, the one before ended at %d", s.Start, at)
			}
			at = s.End
		}
		if at != r.Root.End {
			t.Fatalf("the segments end at %d, the root at %d", at, r.Root.End)
		}
		seen++
	}
	if seen == 0 {
		t.Error("no traces")
	}
}
