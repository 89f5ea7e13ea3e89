package names

import (
	"slices"
	"testing"
)

func TestRenamedAreWordsAndIndexesOfTables(t *testing.T) {
	n := Names{"orders": "dispatch", "order_items": "loan_rows"}
	for text, want := range map[string]string{
		"GET /orders":                                  "GET /dispatch",
		"DROP INDEX orders_customer_id_idx":            "DROP INDEX dispatch_customer_id_idx",
		"SELECT o.order_id FROM order_items o, orders": "SELECT o.order_id FROM loan_rows o, dispatch",
		"preorders reorders_x orders2":                 "preorders reorders_x dispatch2",
		"order":                                        "order",
	} {
		if got := n.Rename(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := Names(nil).Rename("orders"); got != "orders" {
		t.Errorf("without names %q", got)
	}
}

// A name that is another's old one would say that nothing changed.
func TestOthersAreNoneOfTheShopsOwn(t *testing.T) {
	var seen []string
	for own, other := range Others() {
		if _, taken := Others()[other]; taken || own == other || slices.Contains(seen, other) {
			t.Errorf("%s becomes %s", own, other)
		}
		seen = append(seen, other)
	}
}
