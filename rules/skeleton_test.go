package rules

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Every rule, built-in now or later, at the ends of its ramps: with all that
// speaks for it and nothing against it stands first (or holds, where it is no
// rule of a cause), and at the foot of its needed ramps it does not stand.
func TestEveryRuleAtTheEndsOfItsRamps(t *testing.T) {
	catalogue, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range catalogue.Rules {
		t.Run(r.ID, func(t *testing.T) {
			cases, err := ReadCases(fstest.MapFS{r.ID + ".yaml": {Data: []byte(skeleton(r))}})
			if err != nil {
				t.Fatal(err)
			}
			alone := &Catalogue{Rules: []*Rule{r}}
			for _, c := range cases {
				if err := c.Run(alone); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
		})
	}
}

// skeleton is where the tests of a rule begin: its findings at the ends of
// their ramps. The author puts in real values, victims and decoys.
func skeleton(r *Rule) string {
	expect := fmt.Sprintf("{believed: [%s]}", r.ID)
	if isCause(r) {
		expect = fmt.Sprintf("{status: causes-found, causes: [{rule: %s}]}", r.ID)
	}
	return skeletonExpecting(r, expect)
}

// isCause asks the judge: some rules are of housekeeping or of the run itself,
// and never rank.
func isCause(r *Rule) bool {
	cases, err := ReadCases(fstest.MapFS{"x.yaml": {Data: []byte(skeletonExpecting(r, "{}"))}})
	if err != nil {
		return false
	}
	alone := &Catalogue{Rules: []*Rule{r}}
	return len(alone.Judge(&evidence.Bundle{}, cases[0].result()).Causes) > 0
}

func skeletonExpecting(r *Rule, expect string) string {
	kinds, full, foot := extremes(r)
	var b strings.Builder
	b.WriteString("tests:\n")
	for _, half := range []struct {
		name, expect string
		values       map[analyzers.Kind]float64
	}{
		{"all that speaks for it", expect, full},
		{"its needed findings at the foot of their ramps", fmt.Sprintf("{causes: [], rejected: [%s]}", r.ID), foot},
	} {
		fmt.Fprintf(&b, "- name: %s\n  symptoms: [{service: front, operation: GET /list, p95: 0.8, slow: true}]\n  findings:\n", half.name)
		for _, k := range kinds {
			impact := ""
			if k == r.Subject {
				impact = ", impact: {now: 0.8, then: 0.2}"
			}
			fmt.Fprintf(&b, "  - {kind: %s, service: front, operation: GET /list, resource: thing, value: %g%s}\n", k, half.values[k], impact)
		}
		fmt.Fprintf(&b, "  expect: %s\n", half.expect)
	}
	return b.String()
}

// extremes are a rule's findings, and their values where it stands and where it
// just does not.
func extremes(r *Rule) (kinds []analyzers.Kind, full, foot map[analyzers.Kind]float64) {
	full, foot = map[analyzers.Kind]float64{}, map[analyzers.Kind]float64{}
	note := func(c Condition, strong, weak float64) {
		if v, ok := full[c.Finding]; !ok {
			kinds = append(kinds, c.Finding)
			full[c.Finding], foot[c.Finding] = strong, weak
		} else if c.To > c.From == (strong > v) { // of two ramps the longer
			full[c.Finding] = strong
		}
	}
	for _, c := range r.When {
		note(c, c.To, c.From)
	}
	for _, c := range r.For {
		note(c, c.To, c.To)
	}
	for _, c := range r.Against {
		note(c, c.From, c.From)
	}
	if _, ok := full[r.Subject]; !ok {
		kinds = append(kinds, r.Subject)
	}
	return kinds, full, foot
}
