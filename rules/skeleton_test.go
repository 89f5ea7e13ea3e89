package rules

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culprit-rca/culprit/analyzers"
)

// Every rule, built-in now or later, at the ends of its ramps: with all that
// speaks for it and nothing against it stands first, and with its subject at
// the foot of a needed ramp it does not stand at all.
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

// holds is what must come out where a rule holds, by what it is taken for.
var holds = map[As]string{
	AsCause:        "{status: causes-found, causes: [{rule: %s}]}",
	AsHousekeeping: "{causes: [], housekeeping: [%s]}",
	AsRunFlaw:      "{causes: [], flaws: [%s]}",
}

// skeleton is where the tests of a rule begin: its findings at the ends of
// their ramps. The author puts in real values, victims and decoys.
func skeleton(r *Rule) string {
	var kinds []analyzers.Kind
	full, foot := map[analyzers.Kind]float64{}, map[analyzers.Kind]float64{}
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
	for _, k := range r.Subject {
		if _, ok := full[k]; !ok {
			kinds = append(kinds, k)
		}
	}
	var b strings.Builder
	b.WriteString("tests:\n")
	for _, half := range []struct {
		name, expect string
		values       map[analyzers.Kind]float64
	}{
		{"all that speaks for it", fmt.Sprintf(holds[r.As], r.ID), full},
		{"its needed findings at the foot of their ramps", fmt.Sprintf("{causes: [], rejected: [%s]}", r.ID), foot},
	} {
		fmt.Fprintf(&b, "- name: %s\n  symptoms: [{service: front, operation: GET /list, p95: 0.8, slow: true}]\n  findings:\n", half.name)
		for _, k := range kinds {
			impact := ""
			if k == r.Subject[0] {
				impact = ", impact: {now: 0.8, then: 0.2}"
			}
			fmt.Fprintf(&b, "  - {kind: %s, service: front, operation: GET /list, resource: thing, value: %g%s}\n", k, half.values[k], impact)
		}
		fmt.Fprintf(&b, "  expect: %s\n", half.expect)
	}
	return b.String()
}
