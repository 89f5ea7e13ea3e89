package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// One trace of a recording explained: the segments partition the root.
func TestExplainRecordedTraces(t *testing.T) {
	recordedRuns(t)
	o := culprit(t, "trace", "--bundle", filepath.Join(recorded, "n-plus-one", bundleName), "--format", "json")
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
