package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A verdict without a witness says which it is and what it would have shown;
// one with all of them says nothing of the kind.
func TestVerdictNamesTheMissingWitness(t *testing.T) {
	all := withoutStatements(system(work{own: fast}))
	if j := judged(t, all); len(j.Blind) != 0 || !strings.HasPrefix(j.Headline, "No problem found: ") {
		t.Errorf("all is there: %s, %+v", j.Headline, j.Blind)
	}
	all.Spans = nil
	j := judged(t, all)
	if len(j.Blind) != 1 || j.Blind[0].Witness != "traces" || !slices.Contains(j.Blind[0].Causes, "N+1") {
		t.Errorf("without traces: %+v", j.Blind)
	}
	if j.Status != NoProblem || !strings.HasPrefix(j.Headline, "Not an all-clear, for traces were not read: ") || !strings.Contains(j.Headline, "could not be seen: ") || !strings.Contains(j.Headline, "N+1") {
		t.Errorf("%s: %s", j.Status, j.Headline)
	}
}

// PostgreSQL is missed only where something is seen to use it.
func TestNobodyMissesADatabaseThatIsNotThere(t *testing.T) {
	with := system(work{own: fast})
	if j := judged(t, with); len(j.Blind) != 1 || j.Blind[0].Witness != "PostgreSQL" {
		t.Errorf("its statements are traced: %+v", j.Blind)
	}
	if j := judged(t, withoutStatements(with)); len(j.Blind) != 0 {
		t.Errorf("nothing asks one: %+v", j.Blind)
	}
}

func withoutStatements(b *evidence.Bundle) *evidence.Bundle {
	for i := range b.Spans {
		b.Spans[i].Attrs = evidence.Attrs{}
	}
	return b
}
