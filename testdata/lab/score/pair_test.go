package score

import (
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

func TestAPairIsRightWithBothAndNothingElse(t *testing.T) {
	s := scenario.Scenario{Expect: &scenario.Cause{Rule: "a", Service: "x"}, Pair: []scenario.Cause{{Rule: "b", Service: "y"}}}
	a, b, c := Cause{Rank: 1, Rule: "a", Subject: Subject{Service: "x"}}, Cause{Rank: 2, Rule: "b", Subject: Subject{Service: "y"}}, Cause{Rank: 3, Rule: "c"}
	explaining := b
	explaining.Explain = []int{3}
	for name, test := range map[string]struct {
		causes       []Cause
		right        bool
		lacks, wrong int
	}{
		"both":                        {[]Cause{a, b}, true, 0, 0},
		"one":                         {[]Cause{a}, false, 1, 0},
		"and a third":                 {[]Cause{a, b, c}, true, 0, 1},
		"the second explains a third": {[]Cause{a, explaining, c}, true, 0, 0},
		"neither":                     {[]Cause{c}, false, 1, 1},
	} {
		r := Report{Causes: test.causes}
		v := Judge(s, r)
		if v.Right(s, r) != test.right || len(v.Lacks) != test.lacks || len(v.False) != test.wrong {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
