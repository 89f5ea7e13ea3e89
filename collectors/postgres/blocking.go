package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// edge is one lock wait as one tick saw it.
type edge struct {
	at        int64 // Unix ms
	key       edgeKey
	wait      float64 // s
	blockerTx float64 // s
	// blockerIdle is for how long it was idle in its transaction, s; else 0
	blockerIdle float64
}

// edgeKey is what a fold keeps apart. Text is normalised before it is kept.
type edgeKey struct {
	Waiter, Blocker, Text, State, App, LockType, Mode, Relation string
}

// maxEdges bounds the lock waits kept, and maxEdgesTick those of one tick.
const (
	maxEdges     = 100000
	maxEdgesTick = 500
)

// blockingSQL asks who waits for whom. pg_blocking_pids takes every partition
// of the lock table, so it is called for waiters alone. A wait for a
// transaction names no relation; the lock that the waiter holds on the row
// meanwhile does. pid 0 is a prepared transaction.
func blockingSQL(c *capabilities) string {
	waiter, blocker, since := "''", "''", "w.state_change"
	if c.hasQueryID() {
		waiter, blocker = "coalesce(w.query_id::text, '')", "coalesce(b.query_id::text, '')"
	}
	if c.views[viewLocks]["waitstart"] {
		since = "coalesce(l.waitstart, w.state_change)"
	}
	return fmt.Sprintf(`with /* culprit */ l as materialized (select * from %[1]s)
select distinct on (w.pid, bp.pid) %[2]s, %[3]s, coalesce(left(b.query, 2000), ''), coalesce(b.state, case when bp.pid = 0 then 'prepared transaction' else '' end),
 coalesce(b.application_name, ''), coalesce(l.locktype, w.wait_event), coalesce(l.mode, ''),
 coalesce(coalesce(l.relation, (select t.relation from l t where t.pid = w.pid and t.locktype = 'tuple' limit 1))::regclass::text, ''),
 extract(epoch from clock_timestamp() - %[4]s)::float8, coalesce(extract(epoch from clock_timestamp() - b.xact_start)::float8, 0),
 case when b.state like 'idle in transaction%%' then coalesce(extract(epoch from clock_timestamp() - b.state_change)::float8, 0) else 0 end
from %[5]s w cross join lateral unnest(pg_blocking_pids(w.pid)) as bp(pid) left join %[5]s b on b.pid = bp.pid
left join l on l.pid = w.pid and not l.granted
where w.wait_event_type = 'Lock' and w.datname = current_database() order by w.pid, bp.pid limit %[6]d`,
		viewLocks, waiter, blocker, since, viewActivity, maxEdgesTick)
}

func (p *sampler) blocking(ctx context.Context, at time.Time) error {
	found, err := rows(ctx, p.session, func(row pgx.CollectableRow) (e edge, err error) {
		e.at = at.UnixMilli()
		k := &e.key
		err = row.Scan(&k.Waiter, &k.Blocker, &k.Text, &k.State, &k.App, &k.LockType, &k.Mode, &k.Relation, &e.wait, &e.blockerTx, &e.blockerIdle)
		k.Text, _ = evidence.NormalizeSQL(k.Text)
		return e, err
	}, blockingSQL(p.caps))
	if err == nil && len(p.history.edges)+len(found) <= maxEdges {
		p.history.edges = append(p.history.edges, found...)
	}
	return err
}

// blockEdges folds the lock waits of a window.
func (h *history) blockEdges(w evidence.Window) []evidence.BlockEdge {
	var out []evidence.BlockEdge
	place := map[edgeKey]int{}
	for _, e := range h.edges {
		if !w.Contains(e.at) {
			continue
		}
		i, known := place[e.key]
		if !known {
			i = len(out)
			place[e.key] = i
			k := e.key
			out = append(out, evidence.BlockEdge{
				Waiter: k.Waiter, Blocker: k.Blocker, BlockerText: k.Text, BlockerState: k.State, BlockerApp: k.App,
				LockType: k.LockType, Mode: k.Mode, Relation: k.Relation,
			})
		}
		b := &out[i]
		b.Samples++
		b.MaxWait, b.MaxBlockerTx, b.MaxBlockerIdle = max(b.MaxWait, e.wait), max(b.MaxBlockerTx, e.blockerTx), max(b.MaxBlockerIdle, e.blockerIdle)
	}
	return out
}
