package analyzers

import (
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestAStatementSparesNoMoreThanTheServerSpendsOnIt(t *testing.T) {
	for name, test := range map[string]struct {
		exec, stddev float64 // s: of 3000 calls, of one
		low, high    float64
	}{
		"the server is slow":                  {3000 * 0.09, 0.01, 0.085, 0.095},
		"the server is quick":                 {3000 * 0.001, 0.001, 0.003, 0.005},
		"quick as a rule, and sometimes slow": {3000 * 0.01, 0.03, 0.085, 0.095},
	} {
		t.Run(name, func(t *testing.T) {
			pg := evidence.Postgres{Until: 60_000, Statements: []evidence.Statement{{Key: "k1", QueryID: "1", Text: "SELECT a FROM t", TopLevel: true, Calls: 3000, Exec: test.exec, StddevExec: test.stddev}}}
			r := Run(minute(&evidence.Bundle{Postgres: []evidence.Postgres{pg}, Spans: repeat(t, 40, func(int) string {
				return "0-100 shop server GET /a\n  5-95 shop client SELECT | db.system.name=postgresql | db.query.text=select a from t | culprit.db.key=k1"
			})}))
			wantSaving(t, found(t, r, FindSlowStatement), test.low, test.high)
		})
	}
}

// A call that takes as long when its requests are fast is not what makes the
// others slow.
func TestACallThatAlwaysTakesAsLongSavesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		slowCall  string
		low, high float64
	}{
		"the call is as it always is": {"160-240", 0, 0.005},
		"the call has become slow":    {"20-240", 0.135, 0.145},
	} {
		t.Run(name, func(t *testing.T) {
			spans := repeat(t, 60, func(i int) string {
				if i < 30 {
					return "0-90 shop server GET /a\n  5-85 shop client ask bank"
				}
				return "0-250 shop server GET /a\n  " + test.slowCall + " shop client ask bank"
			})
			b := minute(&evidence.Bundle{Spans: spans})
			b.Baseline = &evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(30_000)}
			wantSaving(t, found(t, Run(b), FindSlowDependency), test.low, test.high)
		})
	}
}
