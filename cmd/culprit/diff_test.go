package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/report"
)

// Two evidence files compared: the operation that got slower is named, the
// steady one is not, and the gate trips.
func TestDiffOfEvidence(t *testing.T) {
	base := recordedRun(t, time.Unix(1_700_000_000, 0), 10, map[string]float64{"GET /x": 0.1, "GET /y": 0.5})
	head := recordedRun(t, time.Unix(1_700_100_000, 0), 10, map[string]float64{"GET /x": 0.5, "GET /y": 0.5})
	o := culprit(t, "diff", base, head, "--format", "json")
	var d report.Diff
	if err := json.Unmarshal([]byte(o.stdout), &d); err != nil || o.code != exitOK {
		t.Fatalf("exit code %d, %v, stderr %q", o.code, err, o.stderr)
	}
	if len(d.Operations) != 1 || d.Operations[0].Operation != "GET /x" || d.Operations[0].Change != "worse" || d.Unchanged != 1 {
		t.Errorf("%+v", d)
	}
	culprit(t, "diff", base, head, "--fail-on", "worse").wantError(t, exitGate, "slower: a GET /x")
	if o := culprit(t, "diff", base, base, "--fail-on", "worse"); o.code != exitOK || !strings.HasPrefix(o.stdout, "# No change beyond the noise\n") {
		t.Errorf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
	}
}

// Reports alone will do, and one of each.
func TestDiffOfReports(t *testing.T) {
	base := recordedRun(t, time.Unix(1_700_000_000, 0), 10, map[string]float64{"GET /x": 0.1, "GET /y": 0.5})
	head := recordedRun(t, time.Unix(1_700_100_000, 0), 10, map[string]float64{"GET /x": 0.5, "GET /y": 0.5})
	x, y := t.TempDir(), t.TempDir()
	culprit(t, "analyze", base, "-o", x)
	culprit(t, "analyze", head, "-o", y)
	for _, files := range [][2]string{{filepath.Join(x, "report.json"), filepath.Join(y, "report.json")}, {base, filepath.Join(y, "report.json")}} {
		o := culprit(t, "diff", files[0], files[1])
		if o.code != exitOK || !strings.HasPrefix(o.stdout, "# 1 operation slower\n") || strings.Contains(o.stdout, "/y") {
			t.Errorf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
		}
	}
	empty := write(t, "empty", "")
	culprit(t, "diff", base, empty).wantError(t, exitUsage, "neither an evidence file nor a report.json")
	culprit(t, "diff", base, "/no/such").wantError(t, exitUsage, "/no/such")
	culprit(t, "diff", base, write(t, "x", "rubbish")).wantError(t, exitUsage, "x")
	culprit(t, "diff", base, write(t, "x.json", "{}")).wantError(t, exitUsage, "schema_version")
	culprit(t, "diff", base, head, "--repeat", "/no/such").wantError(t, exitUsage, "/no/such")
	culprit(t, "diff", base, filepath.Join(y, "report.json"), "--repeat", base).wantError(t, exitUsage, "evidence files on both sides")
	if o := culprit(t, "diff", base, head, "--repeat", head); !strings.HasPrefix(o.stdout, "# No change beyond the noise") {
		t.Errorf("a repeat like the head: %q", o.stdout)
	}
	culprit(t, "diff", base).wantError(t, exitUsage, "accepts 2 arg")
	culprit(t, "diff", base, head, "--format", "html").wantError(t, exitUsage, `"html"`)
	culprit(t, "diff", base, head, "--fail-on", "any").wantError(t, exitUsage, "--fail-on")
}
