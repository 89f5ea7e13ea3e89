package analyzers

import (
	"math"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A statement of 2 ms that takes 400 for one request in five.
func TestUnevenStatement(t *testing.T) {
	const (
		fast = "0-20 shop server GET /a\n  5-7 shop client q | db.system.name=postgresql | db.query.text=select a from t | culprit.db.key=k\n\n"
		slow = "0-420 shop server GET /a\n  5-405 shop client q | db.system.name=postgresql | db.query.text=select a from t | culprit.db.key=k\n\n"
	)
	b := &evidence.Bundle{Spans: tellSpans(t, strings.Repeat(fast, 40)+strings.Repeat(slow, 10))}
	found := passOverBundle(t, slowStatement, b)
	if uneven := found[FindUneven]; len(found[FindSlowStatement]) != 1 || len(uneven) != 1 || math.Abs(uneven[0].Value-200) > 1 {
		t.Fatalf("found %+v", found)
	}
	b.Postgres = []evidence.Postgres{{Statements: []evidence.Statement{{Key: "k", Calls: 50, Exec: 4, StddevExec: 0.15}}}}
	if found = passOverBundle(t, slowStatement, b); len(found[FindSlowStatement]) != 1 || len(found[FindUneven]) != 1 || found[FindUneven][0].Value != 0 {
		t.Errorf("the server's own account tells: %+v", found)
	}
	b = &evidence.Bundle{Spans: tellSpans(t, strings.Repeat(slow, 10))}
	if found = passOverBundle(t, slowStatement, b); len(found[FindUneven]) > 0 {
		t.Errorf("too few to know the usual: %+v", found)
	}
}
