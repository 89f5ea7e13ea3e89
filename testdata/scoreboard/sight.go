package main

import (
	_ "embed"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed sight.yaml
var sightFile []byte

// sight says by rule, or by scenario, which witness alone shows a mechanism,
// and how.
type sight map[string]map[string]string

// alike are rules that name one mechanism by another witness.
var alike = map[string]string{"statement-fanout": "n-plus-one"}

// taken is the witness that a handicap takes away whole, by the handicap's
// name; "" where it only thins or renames.
func taken(handicap string) string {
	name := strings.ReplaceAll(handicap, "-", " ")
	for _, w := range []struct{ handicap, witness string }{{"no traces", "traces"}, {"no metrics", "metrics"}, {"no prometheus", "metrics"}, {"no PostgreSQL", "postgres"}, {"no postgres", "postgres"}} {
		if name == w.handicap {
			return w.witness
		}
	}
	return ""
}

func readSight() (sight, error) {
	var s sight
	if err := yaml.Unmarshal(sightFile, &s); err != nil {
		return nil, fmt.Errorf("sight.yaml: %w", err)
	}
	for name, by := range s {
		for witness := range by {
			if witness != "traces" && witness != "metrics" && witness != "postgres" {
				return nil, fmt.Errorf("sight.yaml: %s: %q is no witness", name, witness)
			}
		}
	}
	return s, nil
}

// shows says whether what is left under a handicap shows what was planted.
func (s sight) shows(r run, handicap string) (bool, error) {
	by := s[r.scenario]
	if by == nil {
		by = s[r.planted.Expect.Rule]
	}
	for witness := range by {
		if witness != taken(handicap) {
			return true, nil
		}
	}
	if len(by) == 0 {
		return false, fmt.Errorf("testdata/scoreboard/sight.yaml does not say which witness shows %s", r.planted.Expect.Rule)
	}
	return false, nil
}
