package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestParseQuery(t *testing.T) {
	letters := map[predicateKind]string{equality: "=", ranged: "<", ordered: "^"}
	for _, test := range []struct{ sql, tables, predicates string }{
		{"SELECT * FROM orders WHERE customer_id = $1", "orders:orders", "customer_id="},
		{"select o.id from public.orders as o where o.a = $1 and o.b > $2 order by o.c desc limit $3", "o:public.orders", "o.a= o.b< o.c^"},
		{"select * from orders where a in ($1, $2) and b between $3 and $4", "orders:orders", "a= b<"},
		{"select * from orders where a = any($1)", "orders:orders", "a="},
		{"update orders set a = $1, b = $2 where c = $3", "orders:orders", "c="},
		{"delete from orders where c = $1 and d <= $2", "orders:orders", "c= d<"},
		{"select * from o join items i on i.order_id = o.id where o.x = $1", "i:items o:o", "i.order_id= o.id= o.x="},
		{"select * from a, b where a.x = b.y and a.z = $1", "a:a b:b", "a.x= b.y= a.z="},
		{"select * from t where lower(email) = lower($1)", "t:t", ""},
		{"select * from t where a + $1 = b", "t:t", ""},
		{"select * from t where a like $1 and not b", "t:t", ""},
		{"select * from t where extract(epoch from made) = $1 and c = $2", "t:t", "c="},
		{"select count(*) filter (where a = $1) from t where b = $2", "t:t", "b="},
		{"select * from t where id in (select t_id from u where v = $1)", "t:t u:u", "id= v="},
		{"select * from t where exists (select $2 from u where u.t_id = t.id) order by made", "t:t u:u", "u.t_id= t.id= made^"},
		{`select * from "Orders" where "Customer" = $1`, `"Orders":"Orders"`, `Customer=`},
		{"select * from t where (a = $1 and b = $2)", "t:t", "a= b="},
		{"select * from t where a = $1 for update of t", "t:t", "a="},
		{"insert into t (a, b) values ($1, $2) on conflict (a) do update set b = $3", "", ""},
		{"", "", ""}, {"where", "", ""}, {"from from (((", "", ""}, {"select ) from t where ) = (", "t:t", ""},
	} {
		normal, _ := evidence.NormalizeSQL(test.sql)
		q := parseQuery(normal)
		var tables, predicates []string
		for alias, name := range q.Aliases {
			tables = append(tables, alias+":"+name)
		}
		slices.Sort(tables)
		for _, p := range q.Predicates {
			name := p.Column
			if p.Qualifier != "" {
				name = p.Qualifier + "." + name
			}
			predicates = append(predicates, name+letters[p.Kind])
		}
		if got := strings.Join(tables, " "); got != test.tables {
			t.Errorf("%s: tables %q, want %q", normal, got, test.tables)
		}
		if got := strings.Join(predicates, " "); got != test.predicates {
			t.Errorf("%s: predicates %q, want %q", normal, got, test.predicates)
		}
	}
}

func TestFunctionsAreFound(t *testing.T) {
	for sql, want := range map[string]string{
		"select evil(a) from t where b = $1":                       "[evil]",
		"select * from s.evil($1) where b = $1":                    "[s.evil]",
		"select * from t where b = pg_catalog.lower($1)":           "[pg_catalog.lower]",
		"select * from t where b = s.evil(lower($1))":              "[s.evil lower]",
		"select * from t where b in ($1) and c = any($2)":          "[]",
		"select (a).b from t where b = \"Evil\"(a)":                `["Evil"]`,
		"select * from t join lateral evil(t.a) x on true":         "[evil]",
		"select * from t where b in (select evil($1) from u)":      "[evil]",
		"with c as (select evil(x) as y from t) select y from c u": "[evil]",
	} {
		normal, _ := evidence.NormalizeSQL(sql)
		found := parseQuery(normal).Functions
		slices.Sort(found)
		for _, f := range strings.Fields(strings.Trim(want, "[]")) {
			if !slices.Contains(found, f) {
				t.Errorf("%s: found %v, want %s in it", normal, found, f)
			}
		}
		if want == "[]" && len(found) > 0 {
			t.Errorf("%s: found %v", normal, found)
		}
	}
}

func TestColumnSets(t *testing.T) {
	for _, test := range []struct {
		equal, last []string
		want        string
	}{
		{[]string{"a"}, nil, "[[a]]"},
		{[]string{"a", "b"}, []string{"c"}, "[[a] [b] [a b] [a b c]]"},
		{nil, []string{"c"}, "[[c]]"},
		{[]string{"a"}, []string{"a"}, "[[a]]"},
		{nil, nil, "[]"},
	} {
		if got := fmt.Sprint(columnSets(test.equal, test.last)); got != test.want {
			t.Errorf("columnSets(%v, %v) = %s, want %s", test.equal, test.last, got, test.want)
		}
	}
}
