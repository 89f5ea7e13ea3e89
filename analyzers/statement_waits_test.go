package analyzers

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// asked are n statements of ms, every tenth of them slow.
func asked(n int, ms, slow float64) string {
	var text strings.Builder
	for i := range n {
		took := ms
		if i%10 == 0 {
			took = slow
		}
		fmt.Fprintf(&text, "0-%g shop server POST /orders\n  1-%g shop client q | db.system.name=postgresql | db.query.text=update t set n = ? | culprit.db.key=k\n\n", took+2, took+1)
	}
	return text.String()
}

func TestStatementWaits(t *testing.T) {
	for name, c := range map[string]struct {
		traces    string
		mean      float64 // of the server, s
		tail, gap float64
	}{
		"some calls wait":           {asked(100, 3, 200), 0.002, 100, 0.0207},
		"every call is slow":        {asked(100, 200, 200), 0.195, 0, 0.005},
		"nine times the mean":       {asked(100, 3, 18), 0.002, 0, 0.0025},
		"the server says the same":  {asked(100, 3, 3), 0.003, 0, 0},
		"too few spans to compare":  {asked(10, 3, 200), 0.002, 0, 0},
		"ten times, but of nothing": {asked(100, 0.3, 5), 0.0001, 0, 0.00067},
	} {
		found := passOverBundle(t, statementWaits, &evidence.Bundle{Spans: tellSpans(t, c.traces),
			Postgres: []evidence.Postgres{{Statements: []evidence.Statement{{Key: "k", Calls: 1000, Exec: 1000 * c.mean, StddevExec: 3 * c.mean}}}}})
		for kind, want := range map[Kind]float64{FindStatementTail: c.tail, FindStatementGap: c.gap} {
			f := found[kind]
			if want == 0 && len(f) > 0 || want > 0 && (len(f) != 1 || math.Abs(f[0].Value-want) > 1e-6) {
				t.Errorf("%s: %s: %+v, want %g", name, kind, f, want)
			}
			if kind == FindStatementTail && want > 0 && (f[0].Impact == nil || math.Abs(f[0].Impact.Then-0.005) > 1e-6 || f[0].Entity.Operation != "POST /orders" || f[0].Facts["where"] != "inside the server") {
				t.Errorf("%s: %+v", name, f[0].Impact)
			}
		}
	}
}
