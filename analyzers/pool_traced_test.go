package analyzers

import (
	"math"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A service whose pool tells nothing of itself: eight requests in ten wait 80 ms
// for a connection.
func TestPoolSeenByItsSpansAlone(t *testing.T) {
	const (
		query = " shop client SELECT | db.system.name=postgresql | db.query.text=select a from t\n\n"
		waits = "0-100 shop server GET /a\n  1-81 shop internal pg-pool.connect | db.system.name=postgresql\n  82-92" + query
		none  = "0-20 shop server GET /a\n  1-1.1 shop internal pg-pool.connect | db.system.name=postgresql\n  2-12" + query
	)
	queued := strings.Repeat(waits, 40) + strings.Repeat(none, 10)
	named := func(name string) string { return strings.ReplaceAll(queued, "pg-pool.connect", name) }
	for name, c := range map[string]struct {
		traces string
		series []evidence.Series
		wait   float64 // s; 0: nothing is told
	}{
		"node-postgres":        {queued, nil, 0.06402},
		"pgx":                  {named("pool.acquire"), nil, 0.06402},
		"a JDBC data source":   {named("HikariDataSource.getConnection"), nil, 0.06402},
		"opening a connection": {named("pg.connect"), nil, 0},
		"a lock of another":    {strings.ReplaceAll(named("lock.acquire"), "lock.acquire | db.system.name=postgresql", "lock.acquire"), nil, 0},
		"nobody waits":         {strings.Repeat(none, 50), nil, 0},
		"the pool counts its waits": {queued, []evidence.Series{
			steady(evidence.PoolMax, evidence.Entity{Service: "shop", Resource: "main"}, 4), steady(evidence.PoolUsed, evidence.Entity{Service: "shop", Resource: "main"}, 1),
			steady(evidence.PoolAcquires, evidence.Entity{Service: "shop", Resource: "main"}, 50), steady(evidence.PoolWaitTime, evidence.Entity{Service: "shop", Resource: "main"}, 0)}, 0},
	} {
		b := minute(&evidence.Bundle{Spans: tellSpans(t, c.traces), Series: c.series})
		var told []Finding
		for _, f := range passOverBundle(t, poolSaturation, b)[FindPoolWait] {
			if f.Entity == (evidence.Entity{Service: "shop"}) {
				told = append(told, f)
			}
		}
		if c.wait == 0 {
			if len(told) > 0 {
				t.Errorf("%s: told %+v", name, told)
			}
			continue
		}
		if len(told) != 1 || math.Abs(told[0].Value-c.wait) > 1e-6 {
			t.Errorf("%s: told %+v, want a wait of %g s", name, told, c.wait)
			continue
		}
		if i := told[0].Impact; i == nil || i.Now != 0.1 || i.Then > 0.021 {
			t.Errorf("%s: impact %+v", name, i)
		}
	}
}
