package report

import (
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Three modules, one after the other and one across: the one whose requests a
// cause slows is named by them; one whose requests say nothing by when it ran.
func TestModules(t *testing.T) {
	named := func(name string, count float64) []evidence.LoadStat {
		return []evidence.LoadStat{{Count: count, P95: 0.2}, {Name: name, Count: count}}
	}
	r := &Report{
		Loads: []evidence.LoadRun{{Tool: "k6", Modules: []evidence.LoadModule{
			{Name: "browse", Start: 1000, End: 2000, Requests: named("GET /products", 5)},
			{Name: "buy", Start: 2000, End: 3000, Requests: named("http://h/orders/7?x=1", 7)},
			{Name: "batch", Start: 5000, End: 6000, Requests: named("nightly", 1)},
			{Name: "noise", Start: 1500, End: 2500},
		}}},
		Symptoms: []Symptom{{Operation: "GET /products"}, {Operation: "/orders/{id}"}, {Operation: "POST /import", SlowSpans: []Span{{5100, 5900}}}},
		Causes:   []Cause{{Rank: 1, Rule: "slow-query", Impact: &Impact{Operation: "/orders/{id}"}}, {Rank: 2, Rule: "lock-queue", Impact: &Impact{Operation: "POST /import"}}},
	}
	got := ""
	r.Modules = r.modules()
	for _, v := range r.moduleViews() {
		got += v.Name + " " + v.Runs + " " + v.Suffers() + "; "
	}
	if want := "browse partly beside others –; buy partly beside others 1. slow-query; batch alone 2. lock-queue (by when it ran); noise beside others –; "; got != want {
		t.Errorf("%s", got)
	}
	for _, pair := range [][2]string{{"get /orders/7", "GET /orders/{id}"}, {"checkout / POST /orders", "POST /orders"}} {
		if !sameRequest(pair[0], pair[1]) {
			t.Errorf("%v differ", pair)
		}
	}
	for _, pair := range [][2]string{{"GET /orders", "POST /orders"}, {"GET /orders/7/x", "GET /orders/{id}"}, {"", "GET /"}, {"reorders", "orders"}} {
		if sameRequest(pair[0], pair[1]) {
			t.Errorf("%v are the same", pair)
		}
	}
}
