package rules

import (
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestHeadline(t *testing.T) {
	h := &Hypothesis{
		Rule: &Rule{ID: "cache-misses", Title: "Cache misses: most lookups fall through"}, Score: 0.9,
		Subject: evidence.Entity{Service: "catalog", Operation: "GET /products", Instance: "10.0.0.7:8080", Resource: "redis 127.0.0.1:46079"},
		Impact:  &analyzers.Impact{Operation: evidence.Entity{Service: "gateway", Operation: "GET /products"}, Percentile: 0.95, Now: 1.863, Then: 0.2919},
	}
	const want = "gateway GET /products has a p95 of 1.86 s. Culprit: Cache misses, catalog GET /products (redis). Without it the p95 would be about 292 ms. 1 further cause below."
	if got := causeHeadline([]*Hypothesis{h, h}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	h.Score, h.Impact.AtMost = 0.6, true
	const bounded = "gateway GET /products has a p95 of 1.86 s. Possible culprit: Cache misses, catalog GET /products (redis). Without it the p95 would be at best 292 ms."
	if got := causeHeadline([]*Hypothesis{h}); got != bounded {
		t.Errorf("%q, want %q", got, bounded)
	}
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		e    evidence.Entity
		want string
	}{
		{evidence.Entity{Service: "orders", Instance: "127.0.0.1:34743", Resource: "shop"}, "orders (shop)"},
		{evidence.Entity{Service: "orders", Operation: "POST /events", Resource: "events: a_idx, b_idx"}, "orders POST /events (events)"},
		{evidence.Entity{Resource: "[::1]:5432"}, "[::1]:5432"},
		{evidence.Entity{Service: "orders", Resource: "[::1]:5432"}, "orders"},
		{evidence.Entity{Resource: "10.1.2.3 orders"}, "orders"},
		{evidence.Entity{Service: "a", Resource: "select aaaaaaaaaa, bbbbbbbbbbbbbb, cccccccccccccccc, ddddddddddddddd from t"}, "a (select aaaaaaaaaa, bbbbbbbbbbbbbb, cccccccccccccccc, dddddd…)"},
	} {
		if got := place(c.e); got != c.want {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
}

func TestLatency(t *testing.T) {
	for v, want := range map[float64]string{0: "0 ms", 0.0042: "4.2 ms", 0.292: "292 ms", 0.9996: "1.00 s", 1.863: "1.86 s", 12.34: "12.3 s"} {
		if got := latency(v); got != want {
			t.Errorf("%g: %q, want %q", v, got, want)
		}
	}
}
