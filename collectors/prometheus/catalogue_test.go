package prometheus

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func builtinCatalogue(t testing.TB) *catalogue {
	t.Helper()
	c, err := loadCatalogue("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The spelling of kinds is public: every one is declared in evidence.
func TestKindsAreDeclared(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../evidence/kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []evidence.Kind
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			s, _ := strconv.Unquote(l.Value)
			declared = append(declared, evidence.Kind(s))
		}
		return true
	})
	for _, k := range builtinCatalogue(t).provides() {
		if !slices.Contains(declared, k) {
			t.Errorf("kind %q of the catalogue is not in evidence/kinds.go", k)
		}
	}
}

// anyMatch is a read as if the server had every label that it knows.
func anyMatch(f *family, r *read, native bool) *match {
	m := &match{family: f, read: r, native: native, window: time.Minute, probe: &probe{actual: map[string]string{}, capped: true}}
	service, instance, operation, resource := f.identity()
	for _, l := range slices.Concat(service.labels(), instance.labels(), operation.labels(), resource.labels(), f.Labels, r.Labels, f.Skip, []string{"job", "instance"}) {
		m.probe.actual[l] = l
	}
	for _, names := range r.names {
		m.names = append(m.names, names[0])
	}
	if r.spec.Shape == shapeHistogram {
		m.base = m.names[0]
		if !native {
			m.sum, m.names[0] = m.base+"_sum", m.base+"_bucket"
		}
	}
	return m
}

// Every query that the catalogue can make is one that PromQL's own parser
// takes, and of the type that its function wants.
func TestEveryQueryParses(t *testing.T) { eachRelease(t, checkQueries) }

func checkQueries(t *testing.T, r release) {
	c, err := New(Config{URL: r.start(t, t.TempDir(), "global: {}\n"), MaxQueries: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range everyQuery(t, c.catalogue) {
		if _, err := c.client.query(context.Background(), text, anHour.End, 1); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The upstream parser, in a module of its own so that the product does not
// carry it, takes them without a server.
func TestEveryQueryParsesUpstream(t *testing.T) {
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = filepath.Join("..", "..", "testdata", "promql")
	cmd.Stdin = strings.NewReader(strings.Join(everyQuery(t, builtinCatalogue(t)), "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// everyQuery that the catalogue can make.
func everyQuery(t *testing.T, c *catalogue) (texts []string) {
	t.Helper()
	g := newGrid(anHour, every)
	add := func(text string) {
		if strings.Contains(text, "$") || strings.Contains(text, "\n") {
			t.Errorf("not a query on one line: %q", text)
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	for _, cl := range c.classes {
		for i := range cl.Families {
			f := &cl.Families[i]
			for j := range f.Reads {
				for _, native := range []bool{false, true} {
					for _, q := range anyMatch(f, &f.Reads[j], native).queries(g, true) {
						add(q.text)
						add(q.sum)
					}
				}
			}
		}
	}
	if len(texts) < 500 {
		t.Fatalf("only %d queries", len(texts))
	}
	return texts
}

// Names beyond the classic alphabet are quoted where Prometheus 3 wants it.
func TestUTF8Names(t *testing.T) {
	c := builtinCatalogue(t)
	all := c.matches([]string{"http.server.request.duration_bucket", "http.server.request.duration_count", "vllm:num_requests_waiting"})
	var texts []string
	for _, m := range all {
		m.window, m.shortest = time.Minute, every
		m.probe = &probe{actual: map[string]string{"http_request_method": "http.request.method", "http_route": "http.route", "service_name": "service.name", "model_name": "model_name"}}
		if m.holds() {
			texts = append(texts, m.render(byOperation, newGrid(anHour, every), false))
		}
	}
	for _, want := range []string{
		`sum by ("service.name", "http.request.method", "http.route", le) (rate({"http.server.request.duration_bucket","http.request.method"!=""}[60s]))`,
		`sum by (model_name) (vllm:num_requests_waiting{model_name!=""})`,
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(texts, "\n"))
		}
	}
}

func TestClosestMatchWins(t *testing.T) {
	c := builtinCatalogue(t)
	for name, want := range map[string]string{
		"http_server_request_duration_seconds_bucket":     "OpenTelemetry HTTP server, Ruby Rack (prometheus-client)",
		"shop_http_request_duration_seconds_bucket":       "HTTP server of a client library",
		"grpc_server_handling_seconds_bucket":             "gRPC server (go-grpc-prometheus, java)",
		"http_client_request_duration_seconds_bucket":     "",
		"prometheus_http_request_duration_seconds_bucket": "",
	} {
		var got []string
		for _, m := range c.matches([]string{name}) {
			if m.read.Kind == evidence.ServerLatency {
				got = append(got, m.family.Name)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s is read by %q, want %q", name, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	for text, want := range map[string]string{
		"{a|b}":       "A",
		"{x|b}":       "B",
		"{a} {x} {b}": "A B",
		"{x|'none'}":  "none",
		"{x}":         "",
		"{a}/{b}":     "A/B",
		"fixed":       "fixed",
	} {
		got := mustPattern(text).fill(func(l string) string { return map[string]string{"a": "A", "b": "B"}[l] })
		if got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
	if _, err := parsePattern("{a"); err == nil {
		t.Error("an open brace is accepted")
	}
}

// A user's directory stands under the same checks; each mistake is named.
func TestCatalogueIsStrict(t *testing.T) {
	const head = "class: X\ntitle: T\nkinds: [{kind: x.y, unit: s, shape: gauge, doc: D}]\n"
	for text, want := range map[string]string{
		"class: X\ntitle: T\ncolour: red\n":   "field colour not found",
		"title: T\n":                          "class and title are needed",
		"class: X\ntitle: T\n---\nclass: Y\n": "one document a file",
		"class: X\ntitle: T\nkinds: [{kind: X, unit: s, shape: gauge, doc: D}]\n":            "a kind is dotted lower case",
		"class: X\ntitle: T\nkinds: [{kind: x, shape: gauge, doc: D}]\n":                     "unit and doc are needed",
		"class: X\ntitle: T\nkinds: [{kind: x, unit: s, shape: cloud, doc: D}]\n":            `shape "cloud" is none of`,
		"class: X\ntitle: T\nkinds: [{kind: cpu.usage, unit: s, shape: gauge, doc: D}]\n":    `kind "cpu.usage" is defined twice`,
		head + "families: [{name: f, reads: [{kind: z, metric: m}]}]\n":                      `kind "z": it is not defined under kinds`,
		head + "families: [{name: f, reads: [{kind: x.y, metric: m-1}]}]\n":                  `metric "m-1" is no metric name`,
		head + "families: [{name: f, reads: [{kind: x.y, metric: m, agg: mode}]}]\n":         `agg "mode" is none of`,
		head + "families: [{name: f, reads: [{kind: x.y, metric: m, with: [n]}]}]\n":         "with needs a query",
		head + "families: [{name: f, reads: [{kind: x.y, metric: m, query: '$2{$SEL}'}]}]\n": "$2 is not known",
		head + "families: [{name: f, reads: [{kind: x.y, metric: m, query: 'm'}]}]\n":        "must be selected as $1{$SEL",
		head + "families: [{name: f, about: planet, reads: [{kind: x.y, metric: m}]}]\n":     `about "planet" is none of`,
		head + "families: [{name: f, except: '(', reads: [{kind: x.y, metric: m}]}]\n":       "except:",
		head + "families: [{name: f, service: '{a', reads: [{kind: x.y, metric: m}]}]\n":     "a brace is not closed",
		head + "families: [{name: f}]\n":                                                     "name and reads are needed",
		head + "unseen: [{kinds: [x.y], reason: r}]\n":                                       "kinds, reason and remedy are needed",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{URL: "http://host", SignalsDir: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, dir := range []string{t.TempDir(), "/does/not/exist"} {
		if _, err := New(Config{URL: "http://host", SignalsDir: dir}); err == nil {
			t.Errorf("%s is accepted", dir)
		}
	}
}

// A user's family comes before the built-in ones for the same service.
func TestOwnSignals(t *testing.T) {
	dir := t.TempDir()
	own := "class: own\ntitle: Own\nfamilies:\n- {name: house pool, group: F, resource: '{p}', reads: [{kind: pool.used, metric: house_pool_busy, scale: 2}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &past{}
	p.gauge(`house_pool_busy{job="a",instance="a",p="q"}`, 4)
	p.gauge(`hikaricp_connections_active{job="a",instance="a",pool="main"}`, 5)
	p.gauge(`hikaricp_connections_active{job="b",instance="b",pool="main"}`, 6)
	b, err := collectFrom(t, Config{URL: releases[0].serve(t, p), SignalsDir: dir, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	steady(t, find(t, b, evidence.PoolUsed, evidence.Entity{Service: "a", Instance: "a", Resource: "q"}), 8, "{connection}")
	steady(t, find(t, b, evidence.PoolUsed, evidence.Entity{Service: "b", Instance: "b", Resource: "main"}), 6, "{connection}")
	if got := entities(b, evidence.PoolUsed); len(got) != 2 {
		t.Errorf("pools %v", got)
	}
}

func TestBraces(t *testing.T) {
	if got := fmt.Sprint(braces("a{b,}c{,_d}")); got != "[abc abc_d ac ac_d]" {
		t.Error(got)
	}
}
