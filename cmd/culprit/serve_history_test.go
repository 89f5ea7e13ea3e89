package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

func openRuns(t *testing.T, history string) []archive.Run {
	t.Helper()
	store, err := archive.OpenDirectory(history, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	return runsOf(t, store)
}

// holdSpans wants an audit that read traces: one of an empty store shows nothing.
func holdSpans(t *testing.T, history string) {
	t.Helper()
	store, err := archive.OpenDirectory(history, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	runs, err := store.Runs(t.Context(), archive.Query{Target: "traces", States: []archive.State{archive.Done}, Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	spans := 0
	for _, r := range runs {
		spans = max(spans, spansRead(t, store, r.ID))
	}
	if t.Logf("the audits of the traces read up to %d spans", spans); spans == 0 {
		t.Errorf("none of %d audits read a span", len(runs))
	}
}

func spansRead(t *testing.T, store archive.Store, run string) int {
	t.Helper()
	text, err := store.Report(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	made, err := report.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range made.Coverage {
		if c.Source == "traces" {
			return c.Items
		}
	}
	return 0
}

// runsOf are all records, oldest first; every report among them can be read.
func runsOf(t *testing.T, store archive.Store) []archive.Run {
	t.Helper()
	ctx := context.Background()
	runs, err := store.Runs(ctx, archive.Query{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(runs)
	for _, r := range runs {
		text, err := store.Report(ctx, r.ID)
		if errors.Is(err, archive.ErrUnknown) && !r.Reported {
			continue
		}
		if err == nil {
			_, err = report.Read(bytes.NewReader(text))
		}
		if err != nil {
			t.Errorf("the report of %s, %s: %v", r.ID, r.State, err)
		}
	}
	return runs
}

// readable opens a copy of the history as a kill left it: the service is about
// to open the original.
func readable(t *testing.T, history string) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(history)); err != nil {
		t.Fatal(err)
	}
	openRuns(t, copied)
}
