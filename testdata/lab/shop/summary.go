package shop

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// figure is one number that a customer's summary shows.
type figure struct {
	name string
	of   string // expression
	from string // where it is taken from, a customer's part of it
}

const (
	customersOrders = "orders o WHERE o.customer_id = $1"
	customersItems  = "orders o JOIN order_items i ON i.order_id = o.id WHERE o.customer_id = $1"
)

// figures are every measure of orders and items by every way to sum it up.
func figures() []figure {
	measures := []figure{
		{"cents", "o.cents", customersOrders}, {"age", "extract(epoch FROM now() - o.created_at)", customersOrders},
		{"note", "length(o.note)", customersOrders}, {"gap", "o.id", customersOrders},
		{"item_cents", "i.cents", customersItems}, {"quantity", "i.quantity", customersItems},
		{"value", "i.cents * i.quantity", customersItems}, {"product", "i.product_id", customersItems},
	}
	var all []figure
	for _, by := range []string{"count", "min", "max", "sum", "avg", "stddev"} {
		for _, m := range measures {
			all = append(all, figure{by + "_" + m.name, fmt.Sprintf("coalesce(%s(%s), 0)::float8", by, m.of), m.from})
		}
	}
	return all
}

// summary answers with a customer's figures: by one statement for each place
// they come from, or by a statement for every figure, as pages grow that are
// made of widgets of which each fetches its own.
func (o *orders) summary(w http.ResponseWriter, r *http.Request) {
	customer, err := strconv.ParseInt(r.URL.Query().Get("customer"), 10, 64)
	if err != nil {
		fail(w, badRequest{fmt.Errorf("customer: %w", err)})
		return
	}
	sums := map[string]float64{}
	for _, group := range o.widgets {
		if err = o.fetch(r.Context(), customer, group, sums); err != nil {
			break
		}
	}
	answer(w, sums, err)
}

// widgetsOf groups the figures by the statement that fetches them.
func widgetsOf(choice string) [][]figure {
	if choice == settings.FiguresEach {
		var each [][]figure
		for _, f := range figures() {
			each = append(each, []figure{f})
		}
		return each
	}
	var ofOrders, ofItems []figure
	for _, f := range figures() {
		if f.from == customersItems {
			ofItems = append(ofItems, f)
		} else {
			ofOrders = append(ofOrders, f)
		}
	}
	return [][]figure{ofOrders, ofItems}
}

func (o *orders) fetch(ctx context.Context, customer int64, group []figure, into map[string]float64) error {
	columns, values, targets := make([]string, len(group)), make([]float64, len(group)), make([]any, len(group))
	for i, f := range group {
		columns[i], targets[i] = f.of, &values[i]
	}
	statement := "SELECT " + strings.Join(columns, ", ") + " FROM " + group[0].from
	if err := o.db.QueryRow(ctx, statement, customer).Scan(targets...); err != nil {
		return fmt.Errorf("sum up: %w", err)
	}
	for i, f := range group {
		into[f.name] = values[i]
	}
	return nil
}
