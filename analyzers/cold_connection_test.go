package analyzers

import (
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A request opens a connection for 5 ms, and its first statement takes 12 ms;
// the one after it, or another request's on a connection in use, takes 2.
func TestFirstStatementOnAConnection(t *testing.T) {
	const (
		asks    = " shop client SELECT | db.system.name=postgresql | db.query.text=select ? from orders | culprit.db.key=k\n"
		request = "0-40 shop server GET /orders\n"
		connect = "  1-6 shop internal connect | db.system.name=postgresql\n"
		opened  = request + connect + "  6-18" + asks
		used    = request + "  6-8" + asks + "\n"
		another = "  20-30 shop client UPDATE | db.system.name=postgresql | db.query.text=update orders\n"
	)
	own := []evidence.Postgres{{Statements: []evidence.Statement{{Key: "k", Calls: 100, Exec: 0.3, StddevExec: 0.001}}}}
	for name, c := range map[string]struct {
		traces string
		server []evidence.Postgres
		left   time.Duration // of the first request, without what connecting costs
	}{
		"others show the usual price":   {opened + "\n" + strings.Repeat(used, fewestTraces), nil, 25 * time.Millisecond},
		"the next in the same request":  {strings.Repeat(opened+"  20-22"+asks+"\n", fewestTraces), nil, 25 * time.Millisecond},
		"too few show it":               {opened + "\n" + strings.Repeat(used, fewestTraces-1), nil, 35 * time.Millisecond},
		"the server's account shows it": {strings.Repeat(opened+"\n", 3), own, 27 * time.Millisecond},
		"their price over the server's": {opened + "\n" + strings.Repeat(used, fewestTraces), own, 25 * time.Millisecond},
		"a later statement is its own":  {opened + another + "\n" + strings.Repeat(used, fewestTraces), nil, 25 * time.Millisecond},
		"nothing was opened":            {request + "  6-18" + asks + "\n" + strings.Repeat(used, fewestTraces), nil, 40 * time.Millisecond},
		"another service opened it":     {strings.Replace(opened, "shop internal", "cron internal", 1) + "\n" + strings.Repeat(used, fewestTraces), nil, 35 * time.Millisecond},
	} {
		b := &evidence.Bundle{Spans: tellSpans(t, c.traces), Postgres: c.server}
		traces := BuildTraces(b)
		cold := coldStatementsOf(b, traces)
		if left := time.Duration(traces[0].Retime(cold.cut(traces[0]))); left.Round(100*time.Microsecond) != c.left {
			t.Errorf("%s: %s left, want %s", name, left, c.left)
		}
	}
}
