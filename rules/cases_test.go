package rules

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The catalogue's own tests. Every built-in rule has a file with at least one
// that ranks it first, and one in which its subject was found and it is not
// the first cause.
func TestCatalogueCases(t *testing.T) {
	catalogue, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := ReadCases(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.File+"/"+c.Name, func(t *testing.T) {
			if err := c.Run(catalogue); err != nil {
				t.Error(err)
			}
		})
	}
	for _, r := range catalogue.Rules {
		t.Run(r.ID, func(t *testing.T) {
			if lacks := untested(r, cases); lacks != "" {
				t.Errorf("rule %s has no test %s: write one into rules/testdata/%s.yaml (culprit rules test runs them). Begin with:\n%s", r.ID, lacks, r.ID, skeleton(r))
			}
		})
	}
}

// untested says which test a rule lacks in its own file, "" for none.
func untested(r *Rule, cases []Case) string {
	first, notFirst := false, false
	for _, c := range cases {
		if c.File != r.ID+".yaml" {
			continue
		}
		wins := len(c.Expect.Causes) > 0 && c.Expect.Causes[0].Rule == r.ID || slices.Contains(c.Expect.Housekeeping, r.ID) || slices.Contains(c.Expect.Flaws, r.ID)
		first = first || wins
		for _, f := range c.Findings {
			notFirst = notFirst || !wins && slices.Contains(r.Subject, f.Kind)
		}
	}
	switch {
	case !first:
		return "that ranks it first"
	case !notFirst:
		return fmt.Sprintf("that has its subject (%s) and does not rank it first", r.Subject)
	}
	return ""
}

// A case that is wrong fails, and says what came instead.
func TestCasesFail(t *testing.T) {
	const head = "tests:\n- name: x\n  symptoms: [{service: a, operation: GET /x, p95: 1, slow: true}]\n  findings: [{kind: statement.slow, service: a, resource: q, value: 1, impact: {now: 1, then: 0.2}}, {kind: statement.slow.recurrence, service: a, resource: q, value: 1}]\n"
	catalogue, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"right":        {head + "  expect: {status: causes-found, causes: [{rule: slow-query, service: a}]}\n", ""},
		"other":        {head + "  expect: {causes: [{rule: n-plus-one}]}\n", "the causes are slow-query at a q (score 0.50), want n-plus-one"},
		"subject":      {head + "  expect: {causes: [{rule: slow-query, service: b}]}\n", "want slow-query at b"},
		"victims":      {head + "  expect: {causes: [{rule: slow-query, explains: [pool-saturation]}]}\n", "explaining pool-saturation"},
		"none":         {head + "  expect: {causes: []}\n", "want none"},
		"status":       {head + "  expect: {status: no-problem, causes: [{rule: slow-query}]}\n", "the verdict is causes-found"},
		"rejected":     {head + "  expect: {causes: [{rule: slow-query}], rejected: [slow-query]}\n", "not rejected"},
		"housekeeping": {head + "  expect: {causes: [{rule: slow-query}], housekeeping: [slow-query]}\n", "not in the housekeeping"},
	} {
		t.Run(name, func(t *testing.T) {
			cases, err := ReadCases(fstest.MapFS{"x.yaml": {Data: []byte(c.yaml)}})
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(cases[0].Run(catalogue))
			if c.want == "" && got != "<nil>" || !strings.Contains(got, c.want) {
				t.Errorf("%s; want %q", got, c.want)
			}
		})
	}
}

func TestBadCases(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"nothing":     {"", "tests is empty"},
		"unknown key": {"tests: [{name: x, findigs: []}]", "findigs"},
		"no name":     {"tests: [{findings: []}]", "no name"},
		"no finder":   {"tests: [{name: x, findings: [{kind: nope, value: 1}]}]", `no analyzer finds "nope"`},
		"no place":    {"tests: [{name: x, findings: [{kind: statement.slow, value: 1, impact: {now: 1, then: 0}}]}]", "names no operation"},
	} {
		if _, err := ReadCases(fstest.MapFS{"x.yaml": {Data: []byte(c.yaml)}}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadCases(fstest.MapFS{}); err == nil {
		t.Error("an empty directory is no test")
	}
}
