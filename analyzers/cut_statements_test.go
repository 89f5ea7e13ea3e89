package analyzers

import (
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A statement whose text an SDK cut keeps its name, if there is but one that
// begins so.
func TestCutStatements(t *testing.T) {
	const (
		orders = "SELECT o.id, o.total, o.placed FROM orders o JOIN customers c ON c.id = o.customer WHERE c.mail = $1 ORDER BY o.placed"
		others = "SELECT o.id, o.total, o.placed FROM orders o JOIN customers c ON c.id = o.customer WHERE c.city = $1"
	)
	for _, c := range []struct {
		name, sent string
		known      []string
		joined     bool
	}{
		{"cut within a literal", orders[:95] + "'ann", []string{orders}, true},
		{"cut within a name", orders[:91], []string{orders}, true},
		{"two begin so", orders[:91], []string{orders, others}, false},
		{"too little is left", orders[:45], []string{orders}, false},
		{"another statement", "SELECT o.id, o.total, o.placed FROM refunds o JOIN customers c ON c.id = o.customer", []string{orders}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, key := evidence.NormalizeSQL(c.sent)
			spans := tellSpans(t, "0-10 shop server GET /\n  1-9 shop client query | db.system.name=postgresql")
			spans[1].Attrs = evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"}, evidence.Attr{Key: evidence.AttrDBQuery, Value: text}, evidence.Attr{Key: evidence.AttrDBKey, Value: key})
			b := &evidence.Bundle{Spans: spans, Postgres: []evidence.Postgres{{}}}
			for _, k := range c.known {
				_, key := evidence.NormalizeSQL(k)
				b.Postgres[0].Statements = append(b.Postgres[0].Statements, evidence.Statement{Key: key, Text: k})
			}
			_, wanted := evidence.NormalizeSQL(orders)
			if got := len(factsOf(b).statementSpans(wanted).spans) == 1; got != c.joined {
				t.Errorf("joined %v, want %v", got, c.joined)
			}
		})
	}
}
