package analyzers_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Recorded by the lab, two labs of five runs for each variant, on a machine
// that others used at the same time:
//
//	go -C testdata/lab run . -o DIR/same-1 -repeat 5 repeats same      (same-2, slower-1, slower-2)
//	go test ./analyzers -run RecordedRepeats -record DIR
//
// What no comparison reads is left out of the files: attributes, spans that
// are no server's, every series.
var record = flag.String("record", "", "folder of the lab's repeats, from which to renew testdata/repeats")

const repeatsDir = "../testdata/repeats"

func stripped(b *evidence.Bundle) *evidence.Bundle {
	out := &evidence.Bundle{Version: b.Version, Window: b.Window, Sources: b.Sources}
	for _, s := range b.Spans {
		if s.Kind == evidence.KindServer {
			s.Attrs = evidence.Attrs{}
			out.Spans = append(out.Spans, s)
		}
	}
	for _, h := range b.Histograms {
		if h.Kind == evidence.ServerLatency && h.Entity.Instance == "" {
			h.Query = ""
			out.Histograms = append(out.Histograms, h)
		}
	}
	seen := map[evidence.TraceID]bool{}
	for _, s := range out.Spans {
		seen[s.Trace] = true
	}
	for _, w := range b.Weights {
		if seen[w.Trace] {
			out.Weights = append(out.Weights, w)
		}
	}
	return out
}

func renew(t *testing.T, variant string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(*record, variant+"-*", "*.culprit"))
	slices.Sort(files)
	dir := filepath.Join(repeatsDir, variant)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		b, err := bundle.ReadFile(file)
		if err == nil {
			err = bundle.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.culprit", i+1)), stripped(b))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func repeatsOf(t *testing.T, variant string) (out []*evidence.Bundle) {
	t.Helper()
	if *record != "" {
		renew(t, variant)
	}
	files, _ := filepath.Glob(filepath.Join(repeatsDir, variant, "*.culprit"))
	if len(files) != 10 {
		t.Fatalf("%d recordings of %s, want 10", len(files), variant)
	}
	for _, file := range files {
		b, err := bundle.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// The promise of a difference, on the real system: ten repeats of one healthy
// load, each held against the nine others, give no "worse"; neither does any of
// them against another by itself. A payment that takes 98 ms instead of 80, a
// fifth on the route that waits for it, is found in nine of ten runs at least,
// at its true size, and nothing that does not wait for it is accused.
func TestRecordedRepeats(t *testing.T) {
	same, slower := repeatsOf(t, "same"), repeatsOf(t, "slower")
	for i, head := range same {
		others := slices.Delete(slices.Clone(same), i, i+1)
		noneWorse(t, fmt.Sprintf("same %d against the others", i+1), analyzers.Compare(others[0], head, others[1:]...))
		next := same[(i+1)%len(same)]
		noneWorse(t, fmt.Sprintf("same %d against %d", (i+1)%len(same)+1, i+1), analyzers.Compare(head, next))
	}
	found := 0
	for i, head := range slower {
		for _, c := range analyzers.Compare(same[0], head, same[1:]...) {
			waits := c.Entity.Operation == "POST /orders" || c.Entity.Operation == "POST /payments"
			switch {
			case !waits && c.Verdict == analyzers.Worse:
				t.Errorf("slower %d: %s is called worse: %.2f (%.2f to %.2f)", i+1, c.Entity, c.Ratio, c.Low, c.High)
			case c.Entity.Service == "gateway" && waits && c.Verdict == analyzers.Worse:
				found++
				if c.Ratio < 1.15 || c.Ratio > 1.25 {
					t.Errorf("slower %d: by %.2f", i+1, c.Ratio)
				}
			}
		}
	}
	t.Logf("the planted fifth was found in %d of %d runs", found, len(slower))
	if found < 9 {
		t.Errorf("found in %d of %d runs, want 9", found, len(slower))
	}
}

func noneWorse(t *testing.T, what string, changes []analyzers.Change) {
	t.Helper()
	for _, c := range changes {
		if c.Verdict == analyzers.Worse {
			t.Errorf("%s: %s is called worse: %.2f (%.2f to %.2f), p %.4f", what, c.Entity, c.Ratio, c.Low, c.High, c.P)
		}
	}
}
