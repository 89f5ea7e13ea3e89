package analyzers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

var listing = evidence.Entity{Service: "shop", Operation: "GET /list"}

func TestLedgerNamesTheCauseOfTheTail(t *testing.T) {
	const usual = "0-20 shop server GET /list\n  2-12 shop client query | db.system.name=postgresql | db.query.text=select ?? from t\n\n"
	for name, c := range map[string]struct {
		slow            string
		what            string
		count, duration float64
	}{
		"more of the same": {"0-80 shop server GET /list\n" + loop(7, 2, 10, 0, "  $from-$to shop client query | db.system.name=postgresql | db.query.text=select ?? from t"), "select ?? from t", 0.060, 0},
		"longer ones":      {"0-80 shop server GET /list\n  2-72 shop client query | db.system.name=postgresql | db.query.text=select ?? from t\n", "select ?? from t", 0, 0.060},
		"something else":   {"0-80 shop server GET /list\n  2-12 shop client query | db.system.name=postgresql | db.query.text=select ?? from t\n  12-72 shop client GET /far | server.address=far\n", "GET far /far", 0.060, 0},
		"by itself":        {"0-80 shop server GET /list\n  2-12 shop client query | db.system.name=postgresql | db.query.text=select ?? from t\n", "GET /list", 0, 0.060},
	} {
		l := LedgerOf(tell(t, strings.Repeat(usual, 95)+strings.Repeat(c.slow+"\n", 6)), listing)
		if l == nil || l.Tail != 6 || math.Abs(l.Excess-0.060) > 1e-9 {
			t.Errorf("%s: %+v", name, l)
			continue
		}
		top := l.Lines[0]
		if top.What != c.what || math.Abs(top.Count-c.count) > 1e-9 || math.Abs(top.Duration-c.duration) > 1e-9 {
			t.Errorf("%s: first line %+v", name, top)
		}
	}
}

// The lines sum to the excess, and each line's effects to its own.
func TestLedgerIsComplete(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	b := &evidence.Bundle{}
	for n := range 400 {
		spans := randomSpans(r, 30, 1_000_000)
		stretch := 1 + r.Int64N(5)
		for i := range spans {
			spans[i].Trace[0], spans[i].Trace[1] = byte(n), byte(n>>8)
			spans[i].Start, spans[i].End = spans[i].Start*stretch, spans[i].End*stretch
		}
		spans[0].Service, spans[0].Name, spans[0].Kind = "shop", "GET /list", evidence.KindServer
		b.Spans = append(b.Spans, spans...)
	}
	traces := BuildTraces(b)
	for i, tr := range traces {
		tr.Weight = float64(1 + i%3)
	}
	l := LedgerOf(traces, listing)
	if l == nil {
		t.Fatal("no ledger")
	}
	sum := 0.0
	for _, line := range l.Lines {
		sum += line.Excess
		if line.Low > line.Excess || line.High < line.Excess || line.Low == line.High {
			t.Errorf("%+v has no interval", line)
		}
		if math.Abs(line.Count+line.Duration-line.Excess) > 1e-9 {
			t.Errorf("%+v does not add up", line)
		}
	}
	if math.Abs(sum-l.Excess) > 1e-9 || l.Excess <= 0 {
		t.Errorf("lines sum to %g of %g s", sum, l.Excess)
	}
	if again := LedgerOf(traces, listing); fmt.Sprint(again) != fmt.Sprint(l) {
		t.Error("not the same twice")
	}
}

func TestLedgerOfTooFew(t *testing.T) {
	if l := LedgerOf(tell(t, strings.Repeat("0-20 shop server GET /list\n\n", 4)), listing); l != nil {
		t.Errorf("%+v", l)
	}
}
