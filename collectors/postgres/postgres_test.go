package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func newCollector(t *testing.T, c Config) *Collector {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Second
	}
	if c.Settle == 0 {
		c.Settle = 2500 * time.Millisecond
	}
	got, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.Close)
	return got
}

// run collects around what load does.
func run(t *testing.T, c *Collector, load func()) *evidence.Bundle {
	t.Helper()
	ctx := context.Background()
	w := evidence.Window{Start: time.Now()}
	if err := c.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	load()
	w.End = time.Now()
	b, err := c.Collect(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func statement(t *testing.T, p evidence.Postgres, part string) evidence.Statement {
	t.Helper()
	for _, st := range p.Statements {
		if strings.Contains(st.Text, part) {
			return st
		}
	}
	t.Fatalf("no statement with %q among %d", part, len(p.Statements))
	return evidence.Statement{}
}

func TestSmoke(t *testing.T) {
	s := startServer(t)
	shop := s.shop()
	const lookup = "select id, made from purchase where buyer = $1 order by made desc"
	for range 30 {
		s.exec(shop, "select 1")
	}
	c := newCollector(t, Config{DSN: s.dsn("reader", "shop"), Explain: true})
	b := run(t, c, func() {
		for i := range 200 {
			if _, err := shop.Exec(context.Background(), lookup, i); err != nil {
				t.Fatal(err)
			}
		}
	})
	p := b.Postgres[0]
	t.Logf("source %+v", b.Sources[0])
	for _, g := range b.Gaps {
		t.Logf("gap %+v", g)
	}
	t.Logf("statement %+v", statement(t, p, "buyer = ?"))
	t.Logf("database %+v", *p.Database)
	for _, x := range p.Tables {
		t.Logf("table %+v", x)
	}
	for _, x := range p.Indexes {
		t.Logf("index %+v", x)
	}
	for _, x := range p.Advice {
		t.Logf("advice %+v", x)
	}
	t.Logf("activity %d ticks %d every %.2f: %+v", len(p.Activity), p.Ticks, p.Tick, p.Activity)
	t.Logf("settings %v", p.Server)
	for _, x := range p.Statements {
		t.Logf("statement %.0f %s", x.Calls, x.Text)
	}
}
