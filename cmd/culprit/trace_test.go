package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// One trace of a store by its id: explained, or one line that says why not.
func TestTraceOfStore(t *testing.T) {
	const id = "0102030405060708090a0b0c0d0e0f10"
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v3/services":
			fmt.Fprint(w, `{"services":["web"]}`)
		case "/api/v3/traces/" + id:
			fmt.Fprint(w, `{"result":{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[{"traceId":"`+id+`","spanId":"0102030405060708","name":"GET /a","kind":2,"startTimeUnixNano":"1700000000100000000","endTimeUnixNano":"1700000000350000000"}]}]}]}}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer store.Close()
	o := culprit(t, "trace", id, "--traces", store.URL)
	if o.code != exitOK || !strings.Contains(o.stdout, "250.000 ms") || !strings.Contains(o.stdout, "web GET /a") {
		t.Errorf("exit code %d, stderr %q, stdout %q", o.code, o.stderr, o.stdout)
	}
	culprit(t, "trace", "ff", "--traces", store.URL).wantError(t, exitUsage, "no such trace")
	for name, address := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			secret := strings.Replace(address, "http://", "http://user:"+canary+"@", 1)
			culprit(t, "trace", id, "--traces", secret, "--timeout", "1500ms").wantError(t, exitFailed, "traces from http://127.0.0.1")
		})
	}
}

// --brief is the one page that is attached to an incident.
func TestBrief(t *testing.T) {
	bundle := filepath.Join(recorded, "pool-saturation", bundleName)
	brief, format := culprit(t, "analyze", bundle, "--brief"), culprit(t, "analyze", bundle, "--format", "brief")
	if brief.code != exitOK || brief.stdout != format.stdout || len(brief.stdout) == 0 || len(brief.stdout) > 10_000 {
		t.Errorf("exit code %d, %d bytes, as --format brief: %v", brief.code, len(brief.stdout), brief.stdout == format.stdout)
	}
}
