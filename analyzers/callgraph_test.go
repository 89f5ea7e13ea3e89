package analyzers

import (
	"fmt"
	"strings"
	"testing"
)

func TestCallGraph(t *testing.T) {
	edges, entries := CallGraph(tell(t, `0-100 gateway server GET /orders
  10-90 gateway client call orders | server.address=orders
    15-85 orders server GET /orders
      20-30 orders client q | db.system.name=postgresql | db.namespace=shop | db.query.text=select 1 from a
      30-50 orders client q | db.system.name=postgresql | db.namespace=shop | db.query.text=select 2 from b
      50-55 orders client get | db.system.name=redis
      55-80 orders client POST /charge | server.address=bank.example | error

0-10 gateway server GET /
`))
	var got []string
	for _, e := range edges {
		got = append(got, fmt.Sprintf("%s>%s %s %.0fx%.0fms held %.1fms failed %.1f", e.From.Name, e.To.Name, e.To.Kind, e.Calls, e.Seconds*1000, e.Held*1000, e.Failed))
	}
	want := `gateway>orders service 1x80ms held 40.0ms failed 0.0
orders>redis cache 1x5ms held 2.5ms failed 0.0
orders>postgresql shop database 2x15ms held 15.0ms failed 0.0
orders>bank.example external 1x25ms held 12.5ms failed 1.0`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	if fmt.Sprint(entries) != "[{gateway service}]" {
		t.Errorf("entries %v", entries)
	}
}

// A distribution rises, ends at the percentile it was made for, and its p95 is
// that of the prediction.
func TestPredictTellsTheDistribution(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "0-%d shop server GET /list\n  2-%d shop client far | server.address=far\n\n", 20+i, 12+i)
	}
	i := Predict(tell(t, b.String()), listing, 0.95, func(tr *Trace) Cuts {
		c := tr.NewCuts()
		tr.CutSubtree(c, 1)
		return c
	})
	last := Quantile{}
	for _, q := range i.Distribution {
		if q.Share <= last.Share || q.Now < last.Now || q.Then < last.Then || q.Then > q.Now {
			t.Errorf("%+v after %+v", q, last)
		}
		if q.Share == i.Percentile && (q.Now != i.Now || q.Then != i.Then) {
			t.Errorf("%+v is not %+v", q, i)
		}
		last = q
	}
	if len(i.Distribution) != distributionSteps || last.Share != 0.99 {
		t.Errorf("%d quantiles up to %g", len(i.Distribution), last.Share)
	}
}
