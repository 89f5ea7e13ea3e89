package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/servers"
)

func TestEachHandicapChangesWhatCulpritSees(t *testing.T) {
	state := &servers.State{Addresses: servers.Addresses{Prometheus: "P", Traces: "T", Postgres: "D", PgBouncer: "B"}}
	all := (&app{}).sources(state)
	if want := []string{"--prometheus", "P", "--postgres", "D", "--traces", "T", "--pgbouncer", "B"}; !slices.Equal(all, want) {
		t.Fatalf("with full sight: %v, want %v", all, want)
	}
	for _, h := range handicaps {
		seen := (&app{handicap: h}).sources(state)
		if slices.Equal(seen, all) && h.scrape == 0 && h.sight.Sampling == 0 && !h.sight.OldConventions && h.sight.Names == nil {
			t.Errorf("%s changes nothing", h.name)
		}
		for _, source := range h.blind {
			if slices.Contains(seen, "--"+source) {
				t.Errorf("%s gives %s: %v", h.name, source, seen)
			}
		}
		if found, err := handicapOf(h.name); err != nil || found.name != h.name || h.says == "" {
			t.Errorf("%s: %+v, %v", h.name, found, err)
		}
	}
	if err := run(t.Context(), []string{"list", "--handicap", "no-eyes"}, io.Discard, io.Discard); !errors.As(err, &usageError{}) {
		t.Errorf("error is %v, want one of usage", err)
	}
}

func TestUnderOtherNamesTheOtherNamesAreExpected(t *testing.T) {
	h, err := handicapOf("renamed")
	if err != nil {
		t.Fatal(err)
	}
	s := scenario.Scenario{Name: "x", Expect: &scenario.Cause{Rule: "missing-index", Service: "orders", Operation: "GET /orders", Resource: "orders"},
		Fault: scenario.Fault{Sessions: []scenario.Session{{SQL: []string{"DROP INDEX orders_customer_id_idx"}}}}}
	if want := (scenario.Cause{Rule: "missing-index", Service: "dispatch", Operation: "GET /dispatch", Resource: "dispatch"}); *h.expected(s).Expect != want {
		t.Errorf("expected is %+v", *h.expected(s).Expect)
	}
	if got := h.sessions(s)[0].SQL[0]; got != "DROP INDEX dispatch_customer_id_idx" || !strings.Contains(s.Fault.Sessions[0].SQL[0], "orders_") {
		t.Errorf("the session runs %q, the scenario's own is %q", got, s.Fault.Sessions[0].SQL[0])
	}
	if h.of(s) != "x+renamed" || (handicap{}).of(s) != "x" {
		t.Errorf("recordings are called %s and %s", h.of(s), handicap{}.of(s))
	}
}

func TestARecordingUnderOtherNamesSaysWhatToExpect(t *testing.T) {
	source := filepath.Join(t.TempDir(), "lab")
	bundle := filepath.Join(t.TempDir(), "run.culprit")
	if err := os.WriteFile(bundle, []byte("evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := handicapOf("renamed")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{source: source, handicap: h}
	s := scenario.Scenario{Name: "x", Expect: &scenario.Cause{Rule: "n-plus-one", Service: "orders"}}
	if err := a.record(h.expected(s), bundle); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(source, "..", "scenarios", "x+renamed")
	text, err := os.ReadFile(filepath.Join(folder, "planted.yaml"))
	if err != nil || !strings.Contains(string(text), "service: dispatch") {
		t.Errorf("planted is %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "run.culprit")); err != nil || string(text) != "evidence" {
		t.Errorf("recorded is %q, %v", text, err)
	}
}
