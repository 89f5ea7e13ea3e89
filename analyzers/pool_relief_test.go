package analyzers

import (
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// lockedPool is a minute of a full pool of four: each request waits 80 ms for
// a connection and then 10 ms for its statement, which waits for a lock on the
// table in the given number of sessions.
func lockedPool(t *testing.T, locked float64, app string) *Result {
	return Run(lockedRun(t, locked, app))
}

func lockedRun(t *testing.T, locked float64, app string) *evidence.Bundle {
	pool := evidence.Entity{Service: "shop", Resource: "main"}
	pg := evidence.Postgres{Until: 60_000, Ticks: 600, Tick: 0.1, Server: evidence.PGServer{Name: "db"},
		Statements: []evidence.Statement{{Key: "k1", QueryID: "1", Text: "SELECT a FROM t", Tables: []string{"t"}, TopLevel: true, Calls: 3000, Rows: 3000, Exec: 1}}}
	for s := range int64(60) {
		// one in two is seen while it binds its statement, without a query id
		for id, verb := range map[string]string{"1": "", "": "SELECT"} {
			pg.Activity = append(pg.Activity, evidence.WaitSample{At: s * 1000, Ticks: 10, Sessions: int(5 * locked), State: "active", WaitType: "Lock", Wait: "relation", QueryID: id, Verb: verb, App: app})
		}
	}
	pg.Blocking = []evidence.BlockEdge{{Waiter: "1", BlockerState: "idle in transaction", LockType: "relation", Relation: "t", Samples: 60, MaxWait: 1, MaxBlockerTx: 1}}
	return minute(&evidence.Bundle{
		Spans: repeat(t, 40, func(int) string {
			return "0-100 shop server GET /a\n  82-92 shop client SELECT | db.system.name=postgresql | db.query.text=select a from t | culprit.db.key=k1"
		}),
		Series: []evidence.Series{steady(evidence.PoolMax, pool, 4), steady(evidence.PoolUsed, pool, 4), steady(evidence.PoolAcquires, pool, 50),
			steady(evidence.PoolWaits, pool, 45), steady(evidence.PoolWaitTime, pool, 4)},
		Postgres: []evidence.Postgres{pg},
	})
}

// acquired is the same request with a span for its wait.
const acquired = "0-100 shop server GET /a\n  1-81 shop internal pool.acquire | db.system.name=postgresql\n" +
	"  82-92 shop client SELECT | db.system.name=postgresql | db.query.text=select a from t | culprit.db.key=k1"

// Where no pool gives an account of itself the spans of acquiring tell who
// waits, and the sessions what for.
func TestAQueueForConnectionsIsSeenWithoutThePoolsMetrics(t *testing.T) {
	for name, test := range map[string]struct {
		busy      int // sessions that do something else meanwhile
		low, high float64
	}{
		"all that are active wait for the lock": {0, 0.085, 0.095},
		"nine in ten do something else":         {36, 0.020, 0.030},
	} {
		t.Run(name, func(t *testing.T) {
			b := lockedRun(t, 4, "shop")
			b.Series = nil
			b.Spans = repeat(t, 40, func(int) string { return acquired })
			for s := range int64(60) {
				b.Postgres[0].Activity = append(b.Postgres[0].Activity, evidence.WaitSample{At: s * 1000, Ticks: 10, Sessions: 10 * test.busy, State: "active", QueryID: "9", App: "shop"})
			}
			wantSaving(t, found(t, Run(b), FindLockQueue), test.low, test.high)
		})
	}
}

// The wait for connections belongs to what those who hold them wait for, as
// far as it is they who wait.
func TestAQueueForConnectionsGoesWithWhatTheirHoldersWaitFor(t *testing.T) {
	for name, test := range map[string]struct {
		locked    float64
		app       string
		low, high float64 // s
	}{
		"all four wait for the lock":                    {4, "shop", 0.085, 0.095},
		"all four, and the application has no name":     {4, "", 0.085, 0.095},
		"two of four: half of the connections are free": {2, "shop", 0.085, 0.095},
		"one of five sightings":                         {0.8, "shop", 0.035, 0.050},
		"hardly any: they are held for something else":  {0.2, "shop", 0.009, 0.020},
	} {
		t.Run(name, func(t *testing.T) {
			wantSaving(t, found(t, lockedPool(t, test.locked, test.app), FindLockQueue), test.low, test.high)
		})
	}
}
