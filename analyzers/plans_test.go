package analyzers

import (
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A deviation of several times the mean is a choice of the planner's only where
// more than a few calls make it.
func TestPlanSpreadIsOfManyCalls(t *testing.T) {
	for name, test := range map[string]struct {
		calls, stddev float64 // of a mean of 1 ms
		found         bool
	}{
		"one call of 200 was held up": {200, 0.0141, false},
		"one call in 50 of 2000":      {2000, 0.007, true},
		"all take about as long":      {2000, 0.001, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := evidence.Statement{Key: "k", QueryID: "1", Text: "SELECT a FROM t WHERE b = $1", TopLevel: true, Calls: test.calls, Exec: test.calls * 0.001, StddevExec: test.stddev}
			found := passOverBundle(t, plans, &evidence.Bundle{Postgres: []evidence.Postgres{{Until: 60_000, Statements: []evidence.Statement{s}}}})[FindPlanSpread]
			if (len(found) > 0) != test.found {
				t.Errorf("found %+v", found)
			}
		})
	}
}
