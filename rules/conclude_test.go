package rules

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

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

// Where no cause is named, the reader learns at least what held up the slow
// requests, if one thing did.
func TestWhereSpent(t *testing.T) {
	for inside, want := range map[time.Duration]string{
		80 * time.Millisecond: "pass in select id from items (database call of stock).",
		5 * time.Millisecond:  "(own work of stock, or a wait without a span).",
	} {
		var b evidence.Bundle
		for i := range 40 {
			var id evidence.TraceID
			binary.BigEndian.PutUint64(id[:], uint64(i+1))
			at := int64(i+1) * int64(time.Second)
			root := evidence.Span{Trace: id, ID: evidence.SpanID{1}, Service: "stock", Name: "GET /a", Kind: evidence.KindServer, Start: at, End: at + int64(100*time.Millisecond) + int64(i)*1000}
			call := evidence.Span{Trace: id, ID: evidence.SpanID{2}, Parent: root.ID, Service: "stock", Name: "query", Kind: evidence.KindClient, Start: at, End: at + int64(inside)}
			call.Attrs = call.Attrs.With(evidence.AttrDBSystem, "postgresql").With(evidence.AttrDBQuery, "select id from items")
			b.Spans = append(b.Spans, root, call)
		}
		got := whereSpent(analyzers.BuildTraces(&b), evidence.Entity{Service: "stock", Operation: "GET /a"})
		if !strings.HasPrefix(got, " Of the 100 ms that one of its slow requests takes, ") || !strings.HasSuffix(got, want) {
			t.Errorf("%v: %q", inside, got)
		}
	}
	if got := whereSpent(nil, evidence.Entity{Service: "stock"}); got != "" {
		t.Errorf("without traces: %q", got)
	}
}
