package analyzers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// loop writes calls that follow each other: n lines of a call with $i, $from
// and $to, in ms, beginning at from, each taking long and gap after it.
func loop(n int, from, long, gap float64, line string) string {
	var b strings.Builder
	for i := range n {
		at := from + float64(i)*(long+gap)
		r := strings.NewReplacer("$i", fmt.Sprint(i), "$from", fmt.Sprintf("%.6f", at), "$to", fmt.Sprintf("%.6f", at+long))
		b.WriteString(r.Replace(line) + "\n")
	}
	return b.String()
}

const lookupLine = "  $from-$to shop client query | db.system.name=postgresql | db.query.text=select * from items where id = ? | culprit.params=$i"

func TestRepeatedCallsInOneTrace(t *testing.T) {
	const server = "0-100 shop server GET /list\n"
	for name, c := range map[string]struct {
		trace string
		calls int // 0: not N+1
	}{
		"ten lookups":                     {server + loop(10, 5, 5, 1, lookupLine), 10},
		"five lookups":                    {server + loop(5, 5, 5, 1, lookupLine), 5},
		"after the listing":               {server + "  1-4 shop client query | db.system.name=postgresql | db.query.text=select id from items\n" + loop(10, 5, 5, 1, lookupLine), 10},
		"with another call in every turn": {server + loop(10, 5, 5, 3, lookupLine+"\n  $to-$to shop client get | db.system.name=redis | db.query.text=get x:?"), 10},
		"in wrappers":                     {server + loop(10, 5, 5, 2, "  $from-$to shop internal load | x=$i\n  "+lookupLine), 10},
		"over http":                       {server + loop(10, 5, 5, 2, "  $from-$to shop client GET | http.request.method=GET | server.address=items:80\n    $from-$to items server GET /items/{id}"), 10},
		"over rpc":                        {server + loop(10, 5, 5, 2, "  $from-$to shop client get | rpc.system.name=grpc | rpc.method=items.Items/Get"), 10},
		"over a cache":                    {server + loop(10, 5, 5, 2, "  $from-$to shop client get | db.system.name=redis | db.query.text=get item:?"), 10},
		"each in the name of a cache":     {server + loop(10, 5, 5, 2, "  $from-$to redis client GetItem"), 10},
		"in a message's consumer":         {"0-100 shop consumer orders process\n" + loop(10, 5, 5, 1, lookupLine), 10},

		"two loops in a row":        {server + loop(6, 5, 5, 1, lookupLine) + loop(6, 50, 5, 1, "  $from-$to shop client get | db.system.name=redis | db.query.text=get x:?"), -2},
		"four lookups":              {server + loop(4, 5, 5, 1, lookupLine), 0},
		"fast lookups":              {server + loop(10, 5, 0.2, 0.1, lookupLine), 0},
		"different statements":      {server + loop(10, 5, 5, 1, "  $from-$to shop client query | db.system.name=postgresql | db.query.text=select $i from t"), 0},
		"in parallel":               {server + loop(10, 5, 80, -79.5, lookupLine), 0},
		"queued for one connection": {server + loop(10, 5.1, 5, 0.1, "  5-$from shop client pool.acquire | db.system.name=postgresql") + loop(10, 5, 5, 0.1, lookupLine), 0},
		"retries":                   {server + loop(10, 5, 5, 1, strings.ReplaceAll(lookupLine, "$i", "7")+" | error"), 0},
		"pages":                     {server + loop(10, 5, 5, 1, "  $from-$to shop client query | db.system.name=postgresql | db.query.text=select * from t order by id limit ? offset ? | culprit.params=$i"), 0},
		"pages by key":              {server + loop(10, 5, 5, 1, "  $from-$to shop client query | db.system.name=postgresql | db.query.text=select * from t where id > ? order by id limit ? | culprit.params=$i"), 0},
		"transactions":              {server + loop(10, 5, 5, 1, "  $from-$to shop client begin | db.system.name=postgresql | db.query.text=begin"), 0},
		"nobody waits":              {server + loop(10, 5, 5, 1, lookupLine+" | follows"), 0},
		"consumers":                 {server + "  1-2 shop producer send\n" + loop(10, 5, 5, 1, "    $from-$to shop consumer take\n    "+lookupLine), 0},
		"one a request":             {server + loop(10, 5, 5, 2, "  $from-$to shop client GET /a$i\n    $from-$to items server GET /items/a$i\n    "+strings.ReplaceAll(lookupLine, "shop", "items")), 0},
		"beside the path":           {server + "  1-99 shop client render\n" + loop(10, 5, 5, 1, lookupLine), 0},
	} {
		t.Run(name, func(t *testing.T) {
			found := repeatedCalls(tellOne(t, c.trace))
			switch {
			case c.calls < 0 && len(found) != -c.calls:
				t.Errorf("found %d loops, want %d", len(found), -c.calls)
			case c.calls == 0 && len(found) > 0:
				t.Errorf("found %v × %v", found[0].value, found[0].to)
			case c.calls > 0 && (len(found) != 1 || found[0].value != float64(c.calls)):
				t.Errorf("found %+v, want %d calls", found, c.calls)
			}
		})
	}
}

func TestRepeatedCallsAreCutWithTheirGaps(t *testing.T) {
	for name, c := range map[string]struct {
		trace string
		want  float64 // ms
	}{
		// 10 calls of 5 ms and 9 gaps of 1 ms: one call remains.
		"gaps": {"0-100 shop server GET /list\n" + loop(10, 5, 5, 1, lookupLine), 100 - 9*6},
		// One call takes a typical 5 ms and a tenth of it for each further row; 20 ms were chance.
		"a long one": {"0-100 shop server GET /list\n" + loop(9, 5, 5, 1, lookupLine) + strings.NewReplacer("$from", "59", "$to", "79").Replace(lookupLine), 100 - 9*6 - 10.5},
		// Of a gap of 9 ms no more than the call's own 5 count as its overhead.
		"work on items": {"0-200 shop server GET /list\n" + loop(10, 5, 5, 9, lookupLine), 200 - 9*10},
		// A connection of 1 ms is acquired before each call, 1 ms after the last.
		"plumbing": {"0-100 shop server GET /list\n" + loop(10, 5, 1, 6, "  $from-$to shop client pool.acquire | db.system.name=postgresql") + loop(10, 6, 5, 2, lookupLine), 100 - 9*7},
		// Two calls a turn of 5 and 2 ms and 3 ms in between: told once, gained once.
		"two a turn": {"0-200 shop server GET /list\n" + loop(10, 5, 5, 5, lookupLine) + loop(10, 11, 2, 8, "  $from-$to shop client get | db.system.name=redis | db.query.text=get x:?"), 200 - 9*10},
		// The wrapper's own 1 ms on each side goes as well.
		"wrappers": {"0-100 shop server GET /list\n" + wrapped(10), 100 - 9*8},
	} {
		tr := tellOne(t, c.trace)
		found := repeatedCalls(tr)
		if len(found) != 1 {
			t.Errorf("%s: found %d", name, len(found))
			continue
		}
		cuts := tr.NewCuts()
		found[0].cut(cuts)
		if got := float64(tr.Retime(cuts)) / 1e6; got < c.want-0.001 || got > c.want+0.001 {
			t.Errorf("%s: %g ms, want %g", name, got, c.want)
		}
	}
}

// wrapped is a loop of turns of 7 ms, each a call of 5 ms in a span that is
// 1 ms longer on both sides, 1 ms apart.
func wrapped(n int) string {
	var b strings.Builder
	for i := range n {
		at := 2 + 8*i
		fmt.Fprintf(&b, "  %d-%d shop internal load\n    %d-%d shop client query | db.system.name=postgresql | db.query.text=select ? from t | culprit.params=%d\n", at, at+7, at+1, at+6, i)
	}
	return b.String()
}

// passOver runs an analyzer over traces and gives its findings by kind.
func passOver(t *testing.T, a Analyzer, text string) map[Kind][]Finding {
	t.Helper()
	return passOverBundle(t, a, &evidence.Bundle{Spans: tellSpans(t, text)})
}

func passOverBundle(t *testing.T, a Analyzer, b *evidence.Bundle) map[Kind][]Finding {
	t.Helper()
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	found := map[Kind][]Finding{}
	p := &Pass{Bundle: b, Facts: factsOfTraces(BuildTraces(b)), report: func(f Finding) { found[f.Kind] = append(found[f.Kind], f) }}
	if err := a.Run(p); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNPlusOneOverManyTraces(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		n := 10
		if i%4 == 0 {
			n = 2
		}
		fmt.Fprintf(&text, "0-100 gateway server GET /list\n  1-99 gateway client GET\n    2-98 shop server GET /items\n%s\n", loop(n, 5, 5, 1, "    "+lookupLine))
	}
	found := passOver(t, nPlusOne, text.String())
	if len(found[FindRepeatedCalls]) != 1 || len(found[FindRepeatedRecurrence]) != 1 {
		t.Fatalf("found %v", found)
	}
	f := found[FindRepeatedCalls][0]
	want := evidence.Entity{Service: "shop", Operation: "GET /items", Resource: "select * from items where id = ?"}
	if f.Entity != want || f.Value != 10 {
		t.Errorf("%v = %g", f.Entity, f.Value)
	}
	if got := found[FindRepeatedRecurrence][0]; got.Value != 0.75 || got.Entity != want {
		t.Errorf("recurrence %g of %v", got.Value, got.Entity)
	}
	i := f.Impact
	if i == nil || i.Operation != (evidence.Entity{Service: "gateway", Operation: "GET /list"}) || i.Now != 0.1 {
		t.Fatalf("impact %+v", i)
	}
	// The quarter without the loop still takes 100 ms: the 95th percentile stays.
	if i.Then != 0.1 {
		t.Errorf("then %g, although other requests are as slow", i.Then)
	}
	if f.Facts["calls"] != "10" || f.Facts["statement"] == "" || f.Facts["duplicate"] != "" || len(f.Refs) != 3 {
		t.Errorf("facts %v, refs %v", f.Facts, f.Refs)
	}
}

func TestRepeatedCallsThatAreTheSame(t *testing.T) {
	text := strings.Repeat("0-100 shop server GET /list\n"+loop(10, 5, 5, 1, strings.ReplaceAll(lookupLine, "$i", "7")+" | code.function.name=Load | code.file.path=a/load.go | code.line.number=12")+"\n", 6)
	f := passOver(t, nPlusOne, text)[FindRepeatedCalls]
	if len(f) != 1 || f[0].Facts["duplicate"] != "true" || f[0].Facts["code"] != "Load (a/load.go:12)" {
		t.Fatalf("found %+v", f)
	}
	if got := f[0].Impact; got == nil || got.Then < 0.0459 || got.Then > 0.0461 || !strings.Contains(got.Method, "what-if on 6 traces, indicative") {
		t.Errorf("impact %+v", got)
	}
}

// A loop over another service is found although that service's clock is half
// a second off.
func TestRepeatedCallsAcrossClocks(t *testing.T) {
	trace := "0-100 shop server GET /list | host.name=h1\n" +
		loop(10, 5, 6, 2, "  $from-$to shop client GET | host.name=h1\n    50$i-50$i.4 items server GET /items/{id} | host.name=h2")
	found := passOver(t, nPlusOne, strings.Repeat(trace+"\n", 6))[FindRepeatedCalls]
	if len(found) != 1 || found[0].Value != 10 || found[0].Entity.Resource != "GET items /items/{id}" {
		t.Errorf("found %+v", found)
	}
}

func TestPagination(t *testing.T) {
	pages := func(n int, sql string) string {
		return "0-100 shop server GET /all\n" + loop(n, 5, 5, 1, "  $from-$to shop client query | db.system.name=postgresql | db.query.text="+sql+" | culprit.params=$i") + "\n"
	}
	for name, c := range map[string]struct {
		trace string
		want  float64
	}{
		"by offset":      {pages(10, "select * from t order by id limit ? offset ?"), 10},
		"by key":         {pages(10, "select * from t where id > ? order by id limit ?"), 10},
		"four pages":     {pages(4, "select * from t order by id limit ? offset ?"), 0},
		"lookups":        {pages(10, "select * from t where id = ?"), 0},
		"the same page":  {strings.ReplaceAll(pages(10, "select * from t order by id limit ? offset ?"), "culprit.params=", "culprit.params=7 | x="), 0},
		"beside another": {"0-100 shop server GET /all\n  1-99 shop client render\n" + strings.SplitN(pages(10, "select * from t order by id limit ? offset ?"), "\n", 2)[1], 0},
	} {
		found := passOver(t, pagination, strings.Repeat(c.trace, 6))[FindPaginated]
		if c.want == 0 && len(found) > 0 || c.want > 0 && (len(found) != 1 || found[0].Value != c.want || found[0].Impact == nil) {
			t.Errorf("%s: found %+v, want %g", name, found, c.want)
		}
	}
}
