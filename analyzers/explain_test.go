package analyzers

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	r := Explain(tellOne(t, server+cacheGet+fallback+cacheSet))
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"trace_id":"00000000000000000000000000000001","root":{"service":"shop","operation":"GET /products/{id}","start_ns":0,"end_ns":60000000},` +
		`"segments":[{"span_id":"0000000000000001","service":"shop","operation":"GET /products/{id}","start_ns":0,"end_ns":5000000},` +
		`{"span_id":"0000000000000002","service":"shop","operation":"get","start_ns":5000000,"end_ns":6000000},` +
		`{"span_id":"0000000000000001","service":"shop","operation":"GET /products/{id}","start_ns":6000000,"end_ns":8000000},` +
		`{"span_id":"0000000000000003","service":"shop","operation":"query","start_ns":8000000,"end_ns":45000000},` +
		`{"span_id":"0000000000000001","service":"shop","operation":"GET /products/{id}","start_ns":45000000,"end_ns":48000000},` +
		`{"span_id":"0000000000000004","service":"shop","operation":"set","start_ns":48000000,"end_ns":50000000},` +
		`{"span_id":"0000000000000001","service":"shop","operation":"GET /products/{id}","start_ns":50000000,"end_ns":60000000}],` +
		`"exclusive":[{"service":"shop","operation":"query","ns":37000000},{"service":"shop","operation":"GET /products/{id}","ns":20000000},` +
		`{"service":"shop","operation":"set","ns":2000000},{"service":"shop","operation":"get","ns":1000000}],` +
		`"patterns":[{"rule":"slow-query","service":"shop","operation":"GET /products/{id}","callee":"select * from products where id = ?","count":1,` +
		`"on_path_ns":37000000,"span_ids":["0000000000000003"]},{"rule":"cache-misses","service":"shop","operation":"GET /products/{id}","callee":"redis cache:6379","count":2,"on_path_ns":39000000,` +
		`"span_ids":["0000000000000003","0000000000000004"]}],"repairs":[]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestExplainFindsRepeatedCalls(t *testing.T) {
	r := Explain(tellOne(t, "0-100 shop server GET /list\n"+loop(10, 5, 5, 1, lookupLine)))
	if r.Patterns[0].Rule != "n-plus-one" || r.Patterns[0].Count != 10 || r.Patterns[0].OnPath != 50e6 ||
		!strings.HasPrefix(r.Patterns[0].Callee, "select * from items") {
		t.Errorf("%+v", r.Patterns)
	}
}
