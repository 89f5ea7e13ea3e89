package traces

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// spanOf builds a span of "key=value" attributes; "resource." marks those of
// the resource, "kind=" and "name=" the span's own.
func spanOf(t *testing.T, attributes ...string) evidence.Span {
	t.Helper()
	b := newBuilder()
	raw := rawSpan{trace: "1", id: "1", start: 1, end: 2}
	var f fields
	for _, a := range attributes {
		key, value, _ := strings.Cut(a, "=")
		switch rest, isResource := strings.CutPrefix(key, "resource."); {
		case isResource:
			f.set(rest, value)
		case key == "kind":
			raw.kind = spanKinds[value]
		case key == "name":
			raw.name = value
		default:
			b.span.set(key, value)
		}
	}
	res := b.resource(&f)
	span, ok := b.build(&res, raw)
	if !ok {
		t.Fatal("span dropped")
	}
	return span
}

func describe(s evidence.Span) string {
	out := []string{}
	for key, value := range s.Attrs.All() {
		if key == evidence.AttrParamsHash || key == evidence.AttrDBKey {
			value = "*"
		}
		out = append(out, key+"="+value)
	}
	return strings.Join(out, " ")
}

func TestConventions(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
	}{
		{"new database", "db.system.name=postgresql|db.query.text=SELECT * FROM t WHERE a = 1|db.namespace=shop|db.response.returned_rows=3",
			"culprit.db.key=* culprit.params=* db.collection.name=t db.namespace=shop db.operation.name=SELECT db.query.text=select * from t where a = ? db.response.returned_rows=3 db.system.name=postgresql"},
		{"old database", "db.system=mssql|db.statement=select b from t where a = @p1|db.name=shop|db.sql.table=t|db.operation=select",
			"culprit.db.key=* db.collection.name=t db.namespace=shop db.operation.name=select db.query.text=select b from t where a = ? db.system.name=microsoft.sql_server"},
		{"both at once, old first", "db.statement=old|db.system=oracle|db.query.text=select a from n|db.system.name=oracle.db",
			"culprit.db.key=* db.collection.name=n db.operation.name=SELECT db.query.text=select a from n db.system.name=oracle.db"},
		{"parameters", "db.system=mysql|db.query.text=select a from t where b = ?|db.query.parameter.0=secret",
			"culprit.db.key=* culprit.params=* db.collection.name=t db.operation.name=SELECT db.query.text=select a from t where b = ? db.system.name=mysql"},
		{"redis", "db.system=redis|db.statement=GET product:4711",
			"culprit.db.key=* culprit.params=* db.operation.name=GET db.query.text=get product:? db.system.name=redis"},
		{"redis, bare key", "db.system=redis|db.statement=set secret value",
			"culprit.db.key=* culprit.params=* db.operation.name=SET db.query.text=set ? db.system.name=redis"},
		{"document", `db.system=mongodb|db.statement={"find":"users","filter":{"mail":"a@b.c"}}`,
			"culprit.db.key=* culprit.params=* db.query.text=? db.system.name=mongodb"},
		{"old http server", "kind=server|http.method=GET|http.route=/a/{id}|http.status_code=200|http.target=/a/7?token=s3cr3t|net.peer.name=client|net.host.port=80",
			"culprit.params=* http.request.method=GET http.response.status_code=200 http.route=/a/{id} server.port=80 url.path=/a/{id}"},
		{"old http client", "kind=client|http.method=POST|http.url=https://user:pw@pay:443/charge/b1946ac92492d2347c6235b4d2611184?x=y|net.peer.name=pay|net.peer.port=443",
			"culprit.params=* http.request.method=POST server.address=pay server.port=443 url.path=/charge/{id}"},
		{"old rpc", "rpc.system=grpc|rpc.service=shop.Orders|rpc.method=Get|rpc.grpc.status_code=14|error=true",
			"error.type=UNAVAILABLE rpc.method=shop.Orders/Get rpc.system.name=grpc"},
		{"new rpc", "rpc.system.name=grpc|rpc.method=shop.Orders/Get|rpc.service=shop.Orders", "rpc.method=shop.Orders/Get rpc.system.name=grpc"},
		{"messaging", "messaging.system=kafka|messaging.destination=orders", "messaging.destination.name=orders messaging.system=kafka"},
		{"old code", "code.namespace=shop.Orders|code.function=get|code.filepath=/src/a.go|code.lineno=7",
			"code.file.path=/src/a.go code.function.name=shop.Orders.get code.line.number=7"},
		{"resource", "resource.service.version=1|resource.host.name=h|resource.k8s.pod.name=p|resource.k8s.node.name=n|resource.secret=x|other=y",
			"host.name=h k8s.node.name=n k8s.pod.name=p service.version=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts := strings.Split(c.in, "|")
			if got := describe(spanOf(t, parts...)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			slices.Reverse(parts)
			if got := describe(spanOf(t, parts...)); got != c.want {
				t.Errorf("in the other order\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestIdentityOfSpans(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"resource.service.name=a|resource.host.name=h", "a h"},
		{"resource.service.name=a|resource.host.name=h|resource.k8s.pod.name=p", "a p"},
		{"resource.service.name=a|resource.service.instance.id=i|resource.k8s.pod.name=p", "a i"},
		{"name=x", "unknown_service "},
	} {
		s := spanOf(t, strings.Split(c.in, "|")...)
		if got := s.Service + " " + s.Instance; got != c.want {
			t.Errorf("%s: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestSpanNames(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"GET /orders/{id}", "GET /orders/{id}"},
		{"GET /orders/4711?token=x", "GET /orders/{id}"},
		{"GET /users/a@b.c/cart", "GET /users/{id}/cart"},
		{"/files/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/files/{id}"},
		{"/k/deadbeefdeadbeef/x/01ARZ3NDEKTSV4RRFFQ69G5FAV/y/aBcDeFgHiJkLmNoPqRs7/z", "/k/{id}/x/{id}/y/{id}/z"},
		{"/a/very-long-name-of-a-resource/oauth2/p90", "/a/very-long-name-of-a-resource/oauth2/p90"},
		{"GET /api/v2/items", "GET /api/v2/items"},
		{"shop.Orders/Get", "shop.Orders/Get"},
		{"SELECT orders", "SELECT orders"},
		{"select * from t where mail = 'a@b.c'", "select * from t where mail = ?"},
		{"query SELECT a FROM t WHERE b = 7", "query select a from t where b = ?"},
		{"pool.acquire", "pool.acquire"},
		{"evil\x1b[2J\nname\xff", "evil [2J name "},
		{strings.Repeat("é", 1000), strings.Repeat("é", 512)},
	} {
		if got := spanOf(t, "name="+c.raw).Name; got != c.want {
			t.Errorf("%.60q: %.80q, want %.80q", c.raw, got, c.want)
		}
	}
}

func TestBuilderShares(t *testing.T) {
	b := newBuilder()
	var f fields
	f.set("service.name", "a")
	res := b.resource(&f)
	build := func(id string) evidence.Span {
		b.span.reset()
		b.span.set("http.route", strings.Clone("/a"))
		s, _ := b.build(&res, rawSpan{trace: "1", id: id, start: 1, end: 2, name: "x"})
		return s
	}
	if x, y := build("1"), build("2"); x.Attrs != y.Attrs { // compares the address of the list
		t.Error("equal lists are not shared")
	}
}

func TestBuilderDrops(t *testing.T) {
	b := newBuilder()
	res := b.resource(&fields{})
	for _, raw := range []rawSpan{
		{trace: "1", id: "1"}, {trace: "1", id: "1", start: 5}, {trace: "1", id: "1", end: 5},
		{trace: "", id: "1", start: 1, end: 1}, {trace: "xyz", id: "1", start: 1, end: 1}, {trace: "1", id: "0", start: 1, end: 1},
		{trace: strings.Repeat("1", 33), id: "1", start: 1, end: 1}, {trace: "1", id: "1", parent: "?", start: 1, end: 1},
	} {
		if _, ok := b.build(&res, raw); ok {
			t.Errorf("%+v was kept", raw)
		}
	}
	if got := fmt.Sprint(b.dropped()); got != "[3 spans without a start or an end were dropped 5 spans without a usable id were dropped]" {
		t.Error(got)
	}
	s, ok := b.build(&res, rawSpan{trace: " ABCdef ", id: "0A", start: 9, end: 5})
	if !ok || s.Trace.String() != "00000000000000000000000000abcdef" || s.ID.String() != "000000000000000a" || s.End != 9 {
		t.Errorf("%+v", s)
	}
}

func TestKeptIsSorted(t *testing.T) {
	if !slices.IsSorted(kept[:]) || kept[0] == "" {
		t.Error("attributes would not be sorted by key")
	}
}

func TestJaegerReferences(t *testing.T) {
	document := `{"data":[{"spans":[
	 {"traceID":"a","spanID":"1","operationName":"x","startTime":1,"duration":2,"process":{"serviceName":"s"}},
	 {"traceID":"a","spanID":"2","operationName":"x","startTime":1,"duration":2,"references":[{"refType":"FOLLOWS_FROM","traceID":"00a","spanID":"1"}]},
	 {"traceID":"a","spanID":"3","operationName":"x","startTime":1,"duration":2,"references":[{"refType":"FOLLOWS_FROM","traceID":"a","spanID":"2"},{"refType":"CHILD_OF","traceID":"b","spanID":"9"},{"refType":"CHILD_OF","traceID":"A","spanID":"1"}]},
	 {"traceID":"a","spanID":"4","parentSpanID":"3","operationName":"x","startTime":1,"duration":2,"tags":[{"key":"error","type":"bool","value":true},{"key":"http.status_code","type":"int64","value":500},{"key":"span.kind","value":"consumer"}]}]}]}`
	spans, err := newBuilder().jaegerJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range spans {
		got += fmt.Sprintf("%s<%s %v %v %s\n", s.ID.String()[14:], s.Parent.String()[14:], s.Follows, s.Error, s.Service)
	}
	want := "01<00 false false s\n02<01 true false unknown_service\n03<01 false false unknown_service\n04<03 true true unknown_service\n"
	if got != want || spans[3].Attr(evidence.AttrHTTPStatus) != "500" {
		t.Errorf("got\n%s%v", got, spans[3].Attrs)
	}
}

func TestZipkinShared(t *testing.T) {
	document := `[{"traceId":"a","id":"1","kind":"CLIENT","name":"get","timestamp":1,"duration":9,"localEndpoint":{"serviceName":"front"}},
	 {"traceId":"a","id":"1","kind":"SERVER","name":"get","timestamp":2,"duration":5,"shared":true,"localEndpoint":{"serviceName":"back"}},
	 {"traceId":"a","id":"2","parentId":"1","kind":"CLIENT","name":"sql","timestamp":3,"duration":1,"localEndpoint":{"serviceName":"back"}},
	 {"traceId":"b","id":"7","parentId":"6","kind":"SERVER","name":"get","timestamp":2,"duration":5,"shared":true,"localEndpoint":{"serviceName":"back"}}]`
	spans, err := newBuilder().zipkinJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	client, server, query, lone := spans[0], spans[1], spans[2], spans[3]
	if server.ID == client.ID || server.Parent != client.ID || query.Parent != server.ID {
		t.Errorf("client %s, server %s of %s, query of %s", client.ID, server.ID, server.Parent, query.Parent)
	}
	if lone.Parent.String() != "0000000000000006" {
		t.Errorf("a server span whose client half is missing lost its parent: %s", lone.Parent)
	}
}
