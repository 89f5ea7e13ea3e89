// Package score compares what a diagnosis said with what was planted. It reads
// the report's public JSON and knows nothing else of the program that wrote it.
package score

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// Report is what is read of a report.json, schema version 1.
type Report struct {
	SchemaVersion int `json:"schema_version"`
	Verdict       struct {
		Status   string `json:"status"`
		Headline string `json:"headline"`
	} `json:"verdict"`
	Causes []Cause `json:"causes"`
}

// Cause is one ranked cause of a report.
type Cause struct {
	Rank    int     `json:"rank"`
	Rule    string  `json:"rule"`
	Subject Subject `json:"subject"`
	Explain []int   `json:"explains"` // ranks of the causes that this one explains
	Impact  *Impact `json:"impact"`   // nil: not measured
}

// Impact is what a report says fixing a cause would buy, in s.
type Impact struct {
	Service   string  `json:"service"`
	Operation string  `json:"operation"`
	Now       float64 `json:"now_s"`
	Then      float64 `json:"then_s"`
	Low       float64 `json:"low_s"` // of the saving
	High      float64 `json:"high_s"`
}

// Subject of a cause.
type Subject struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
}

// Read loads a report.
func Read(path string) (Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, fmt.Errorf("decode report %s: %w", path, err)
	}
	if r.SchemaVersion != 1 {
		return Report{}, fmt.Errorf("report %s has schema version %d, not 1", path, r.SchemaVersion)
	}
	return r, nil
}

// Verdict of one scenario.
type Verdict struct {
	Rank  int      // of the planted cause with the right subject; 0: not found
	False []string // causes that were not planted, nor follow from what was
	Lacks []string // planted beside the first, and not listed as causes of their own
}

// Judge finds what was planted. What a planted cause explains, and what the
// scenario says follows from it, is not false.
func Judge(s scenario.Scenario, r Report) Verdict {
	var v Verdict
	var planted []scenario.Cause
	if s.Expect != nil {
		planted = append([]scenario.Cause{*s.Expect}, s.Pair...)
	}
	known := map[int]bool{} // ranks of what was planted, and of what that explains
	for i, want := range planted {
		at := slices.IndexFunc(r.Causes, func(c Cause) bool { return Matches(want, c) })
		switch {
		case at < 0 && i > 0:
			v.Lacks = append(v.Lacks, want.Rule)
		case at >= 0:
			found := r.Causes[at]
			known[found.Rank] = true
			for _, rank := range found.Explain {
				known[rank] = true
			}
			if i == 0 {
				v.Rank = found.Rank
			}
		}
	}
	for _, c := range r.Causes {
		also := slices.ContainsFunc(s.Also, func(e scenario.Cause) bool { return Matches(e, c) })
		if !known[c.Rank] && !also {
			v.False = append(v.False, c.String())
		}
	}
	return v
}

// Right says whether the diagnosis is as it should be: the planted cause first
// and what was planted beside it listed, or, where nothing was planted, no
// cause and a verdict that says so, or says why the run is of no use.
func (v Verdict) Right(s scenario.Scenario, r Report) bool {
	if s.Flaw != "" {
		return len(r.Causes) == 0 && r.Verdict.Status == "run-unusable" && strings.Contains(r.Verdict.Headline, s.Flaw)
	}
	if s.Expect == nil {
		return len(r.Causes) == 0 && r.Verdict.Status == "no-problem"
	}
	return v.Rank == 1 && len(v.Lacks) == 0
}

// Matches compares rule and subject; an empty field of what is expected may be
// anything, the others are substrings.
func Matches(want scenario.Cause, got Cause) bool {
	return want.Rule == got.Rule &&
		within(want.Service, got.Subject.Service) &&
		within(want.Operation, got.Subject.Operation) &&
		within(want.Resource, got.Subject.Resource)
}

func within(want, got string) bool {
	return strings.Contains(strings.ToLower(got), strings.ToLower(want))
}

// nameLength keeps a resource that is a whole statement from filling the screen.
const nameLength = 80

// String names a cause in a scoreboard.
func (c Cause) String() string {
	parts := []string{c.Rule}
	for _, part := range []string{c.Subject.Service, c.Subject.Operation, c.Subject.Resource} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	name := []rune(strings.Join(parts, "/"))
	if len(name) > nameLength {
		return string(name[:nameLength-1]) + "…"
	}
	return string(name)
}
