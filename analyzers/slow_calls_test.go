package analyzers

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A call of 80 ms may be a slow statement, or a fast one that waits elsewhere:
// the server's own account tells, and a statement can save no more than it
// takes.
func TestAStatementSavesNoMoreThanTheServerTakes(t *testing.T) {
	spans := func() []evidence.Span {
		return tellSpans(t, strings.Repeat("0-100 shop server GET /a\n  10-90 shop client q | db.system.name=postgresql | db.query.text=select a from t | culprit.db.key=k\n\n", 40))
	}
	for name, c := range map[string]struct {
		statements []evidence.Statement
		low, high  float64 // s saved
		says       string
	}{
		"no account":              {nil, 0.0799, 0.0801, ""},
		"the server says so too":  {[]evidence.Statement{{Key: "k", Calls: 400, Exec: 400 * 0.078, StddevExec: 0.004}}, 0.0799, 0.0801, "78 ms"},
		"the server takes 2 ms":   {[]evidence.Statement{{Key: "k", Calls: 400, Exec: 400 * 0.002, StddevExec: 0.0005}}, 0.0034, 0.0036, "2 ms"},
		"now 2 ms and now 200 ms": {[]evidence.Statement{{Key: "k", Calls: 400, Exec: 400 * 0.012, StddevExec: 0.044}}, 0.0799, 0.0801, "12 ms"},
		"of another statement":    {[]evidence.Statement{{Key: "other", Calls: 400, Exec: 0.4, StddevExec: 0.0005}}, 0.0799, 0.0801, ""},
		"a spread nobody knows":   {[]evidence.Statement{{Key: "k", Calls: 400, Exec: 0.8}}, 0.0799, 0.0801, ""},
	} {
		f := passOverBundle(t, slowStatement, &evidence.Bundle{Spans: spans(), Postgres: []evidence.Postgres{{Statements: c.statements}}})[FindSlowStatement]
		if len(f) != 1 || f[0].Impact == nil || f[0].Impact.Saved() < c.low || f[0].Impact.Saved() > c.high {
			t.Fatalf("%s: %+v", name, f)
		}
		if says := strings.Contains(f[0].Text, "The server itself takes "+c.says+" a call"); says != (c.says != "") {
			t.Errorf("%s: %s", name, f[0].Text)
		}
	}
}
