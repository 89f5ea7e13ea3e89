package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// holding is one sighting of something that holds back vacuum.
type holding struct {
	at                    int64 // Unix ms
	kind, who, state, txt string
	age, held             float64
}

const (
	holdersEvery = 5 * time.Second
	maxHoldings  = 20000
)

// holdersSQL asks all four kinds of holders. A session that wrote has an xid
// even where it has no snapshot. Young ones are everybody's and are left out.
const holdersSQL = `select /* culprit */ * from (
 select 'session', coalesce(application_name, ''), coalesce(state, ''), coalesce(left(query, 2000), ''), greatest(coalesce(age(backend_xmin), 0), coalesce(age(backend_xid), 0))::float8 as age,
  coalesce(extract(epoch from clock_timestamp() - xact_start), 0)::float8 as held
  from pg_catalog.pg_stat_activity where (backend_xmin is not null or backend_xid is not null) and pid <> pg_backend_pid() and backend_type is distinct from 'walsender'
 union all select 'prepared transaction', gid, 'prepared', '', age(transaction)::float8, extract(epoch from clock_timestamp() - prepared)::float8 from pg_catalog.pg_prepared_xacts
 union all select 'slot', slot_name::text, case when active then 'active' else 'inactive' end, '', greatest(coalesce(age(xmin), 0), coalesce(age(catalog_xmin), 0))::float8, 0 from pg_catalog.pg_replication_slots
 union all select 'standby', coalesce(application_name, ''), coalesce(state, ''), '', coalesce(age(backend_xmin), 0)::float8, 0 from pg_catalog.pg_stat_replication) h
where age >= 1000 or age > 0 and held >= 5 order by age desc limit 20`

func (p *sampler) holders(ctx context.Context, at time.Time) error {
	found, err := rows(ctx, p.session, func(row pgx.CollectableRow) (h holding, err error) {
		h.at = at.UnixMilli()
		err = row.Scan(&h.kind, &h.who, &h.state, &h.txt, &h.age, &h.held)
		h.txt, _ = evidence.NormalizeSQL(h.txt)
		return h, err
	}, holdersSQL)
	if err == nil && len(p.history.holdings)+len(found) <= maxHoldings {
		p.history.holdings = append(p.history.holdings, found...)
	}
	return err
}

// holders of a window, folded: a session that is now idle in transaction and
// now active counts under both.
func (h *history) holders(w evidence.Window) (out []evidence.PGHolder) {
	type key struct{ kind, who, state, txt string }
	place := map[key]int{}
	for _, x := range h.holdings {
		if !w.Contains(x.at) {
			continue
		}
		k := key{x.kind, x.who, x.state, x.txt}
		i, known := place[k]
		if !known {
			i = len(out)
			place[k] = i
			out = append(out, evidence.PGHolder{Kind: x.kind, Who: x.who, State: x.state, Text: x.txt, FirstAge: x.age})
		}
		o := &out[i]
		o.Samples++
		o.XminAge, o.Held = max(o.XminAge, x.age), max(o.Held, x.held)
	}
	return out
}
