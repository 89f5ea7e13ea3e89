package scenario

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEveryScenarioOfTheLabIsValid(t *testing.T) {
	all, err := LoadAll(os.DirFS("../scenarios"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 || all[0].Name != Healthy {
		t.Fatalf("healthy does not come first among %d scenarios: the others are compared with it", len(all))
	}
}

func TestOverriddenLoadKeepsTheRest(t *testing.T) {
	s, err := Parse("x", []byte("description: d\nload: {plateau: 20s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := StandardLoad(); s.Load.Plateau.Seconds() != 20 || s.Load.Ramp != want.Ramp || len(s.Load.Rates) != len(want.Rates) {
		t.Errorf("load is %+v", s.Load)
	}
}

func TestStagesOfASpike(t *testing.T) {
	s, err := Parse("x", []byte("description: d\nload: {spike: {at: 25s, for: 10s, times: 2}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Stage{{15, 1}, {10, 1}, {1, 2}, {10, 2}, {1, 1}, {23, 1}}
	if got := s.Load.Stages(); !slices.Equal(got, want) {
		t.Errorf("stages %v, want %v", got, want)
	}
}

func TestBadScenarioIsRejected(t *testing.T) {
	const expect = "expect: {rule: r, service: s}\nmust_hurt: {route: GET /orders, factor: 2}\n"
	for _, test := range []struct{ name, text, says string }{
		{"unknown key", "description: d\nfalt: {}\n", "falt"},
		{"unknown choice", "description: d\nfault: {shop: {orders: {pol_size: 2}}}\n", "pol_size"},
		{"choice the shop does not know", "description: d\nfault: {shop: {orders: {item_loading: some}}}\n", "item_loading"},
		{"negative pool", "description: d\nfault: {shop: {orders: {pool_size: -1}}}\n", "pool_size"},
		{"quota of nothing", "description: d\nfault: {quota: {orders: 0}}\n", "quota of orders"},
		{"shares of nobody", "description: d\nfault: {shares: {orders: 1}}\n", "shares of orders"},
		{"pool of nothing", "description: d\nfault: {pgbouncer: {orders: 0}}\n", "pool of orders"},
		{"disk of another", "description: d\nfault: {disk: {orders: 9}}\n", "disk of orders"},
		{"memory of another", "description: d\nfault: {memory: {orders: 9}}\n", "memory of orders"},
		{"no reads at all", "description: d\nfault: {reads: {postgres: 0}}\n", "reads of postgres"},
		{"fewer sessions than none", "description: d\nfault: {sessions: [{name: report, count: -1, sql: [BEGIN]}]}\n", "negative"},
		{"session without a name", "description: d\nfault: {sessions: [{sql: [BEGIN]}]}\n", "no name"},
		{"session that does nothing", "description: d\nfault: {sessions: [{name: report}]}\n", "no statement"},
		{"session before the load", "description: d\nfault: {sessions: [{name: report, sql: [BEGIN], at: -1s}]}\n", "negative"},
		{"quota that ends and does not begin", "description: d\nfault: {quota: {orders: 1}, quota_for: 5s}\n", "quota_at"},
		{"pair of nothing", "description: d\npair: [{rule: r}]\n", "pair"},
		{"no description", expect, "description"},
		{"spike in the ramp", "description: d\nload: {spike: {at: 5s, for: 5s, times: 2}}\n", "spike"},
		{"spike beyond the end", "description: d\nload: {spike: {at: 55s, for: 5s, times: 2}}\n", "spike"},
		{"spike that is none", "description: d\nload: {spike: {at: 25s, for: 5s, times: 1}}\n", "spike"},
		{"restart of nothing", "description: d\nfault: {restarts: [{at: 5s}]}\n", "restart of nothing"},
		{"restart in the past", "description: d\nfault: {restarts: [{process: orders, at: -5s}]}\n", "restart of orders"},
		{"no plateau", "description: d\nload: {plateau: 0s}\n", "plateau"},
		{"expectation that need not hurt", "description: d\nexpect: {rule: r, service: s}\n", "belong together"},
		{"rule without subject", "description: d\n" + strings.Replace(expect, ", service: s", "", 1), "no subject"},
		{"route without load", "description: d\n" + strings.Replace(expect, "/orders", "/nowhere", 1), "/nowhere"},
		{"fault that may be weak", "description: d\n" + strings.Replace(expect, "factor: 2", "factor: 1.2", 1), "double"},
		{"not yaml", "\t", "parse scenario"},
	} {
		_, err := Parse("x", []byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: error is %v, want one that says %q", test.name, err, test.says)
		}
	}
}
