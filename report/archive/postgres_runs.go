package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

func (d *database) Add(ctx context.Context, r Run, a Admission) (stands Run, o Outcome, err error) {
	err = d.locked(ctx, func(ctx context.Context, tx pgx.Tx) error {
		there, err := one(tx.Query(ctx, `select record from culprit_runs where key = $1`, r.Key))
		if err == nil {
			stands, o = there, Known
			return nil
		}
		if !errors.Is(err, ErrUnknown) {
			return err
		}
		f, err := factsOf(ctx, tx, r)
		if err != nil {
			return err
		}
		stands = r
		if o = a.decide(&stands, f); o == Cooling || o == Full {
			return nil
		}
		_, err = insert(ctx, tx, stands, nil)
		return err
	})
	return stands, o, err
}

func factsOf(ctx context.Context, tx pgx.Tx, r Run) (f facts, err error) {
	if err := tx.QueryRow(ctx, `select count(*) from culprit_runs where state = 'queued'`).Scan(&f.queued); err != nil {
		return f, err
	}
	var group *time.Time
	if err := tx.QueryRow(ctx, `select max(added) from culprit_runs where target = $1 and alert_group = $2 and $2 <> ''`, r.Target, r.Group).Scan(&group); err != nil {
		return f, err
	}
	if group != nil {
		f.group = *group
	}
	open, err := one(tx.Query(ctx, `select record from culprit_runs where target = $1 and trigger = 'schedule' and state in ('queued', 'running') limit 1`, r.Target))
	if errors.Is(err, ErrUnknown) {
		return f, nil
	}
	f.open = &open
	return f, err
}

func (d *database) Take(ctx context.Context, owner string) (r Run, err error) {
	err = d.locked(ctx, func(ctx context.Context, tx pgx.Tx) error {
		r, err = one(tx.Query(ctx, `select record from culprit_runs where state = 'queued'
			and target not in (select target from culprit_runs where state = 'running') order by added, key limit 1 for update`))
		if errors.Is(err, ErrUnknown) {
			return ErrNone
		}
		if err != nil {
			return err
		}
		r.State, r.Owner, r.Attempt, r.Began = Running, owner, r.Attempt+1, time.Now().UTC()
		return update(ctx, tx, r, nil)
	})
	return r, err
}

func (d *database) Beat(ctx context.Context, owner string, keys []string) error {
	return d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update culprit_runs set beat = clock_timestamp() where state = 'running' and owner = $1 and key = any($2)`, owner, keys)
		return err
	})
}

func (d *database) Reap(ctx context.Context, silent time.Duration) (reaped []Run, err error) {
	err = d.locked(ctx, func(ctx context.Context, tx pgx.Tx) error {
		reaped = nil
		runs, err := all(tx.Query(ctx, `select record from culprit_runs where state = 'running' and beat < clock_timestamp() - make_interval(secs => $1::float8) for update`, silent.Seconds()))
		for _, r := range runs {
			r = takenAway(r, time.Now().UTC())
			if err := update(ctx, tx, r, nil); err != nil {
				return err
			}
			reaped = append(reaped, r)
		}
		return err
	})
	return reaped, err
}

// held locks the row of a run and fails unless it is still this owner's.
func held(ctx context.Context, tx pgx.Tx, r Run) error {
	_, err := one(tx.Query(ctx, `select record from culprit_runs where key = $1 and state = 'running' and owner = $2 and attempt = $3 for update`, r.Key, r.Owner, r.Attempt))
	if errors.Is(err, ErrUnknown) {
		return ErrLost
	}
	return err
}

func (d *database) Release(ctx context.Context, r Run) error {
	return d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := held(ctx, tx, r); err != nil {
			return err
		}
		return update(ctx, tx, released(r), nil)
	})
}

func (d *database) Finish(ctx context.Context, r Run, report []byte) error {
	packed, err := packAny(report)
	if err != nil {
		return err
	}
	return d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := held(ctx, tx, r); err != nil {
			return err
		}
		return update(ctx, tx, r, packed)
	})
}

func packAny(report []byte) ([]byte, error) {
	if report == nil {
		return nil, nil
	}
	return pack(report)
}

func (d *database) Put(ctx context.Context, r Run, report []byte) (added bool, err error) {
	packed, err := packAny(report)
	if err != nil {
		return false, err
	}
	err = d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		added, err = insert(ctx, tx, r, packed)
		return err
	})
	return added, err
}

func (d *database) Runs(ctx context.Context, q Query) (runs []Run, err error) {
	var before *time.Time
	if !q.Before.IsZero() {
		before = &q.Before
	}
	states := make([]string, len(q.States))
	for i, s := range q.States {
		states[i] = string(s)
	}
	err = d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		runs, err = all(tx.Query(ctx, `select record from culprit_runs where ($1 = '' or target = $1) and ($2 = '' or trigger = $2)
			and ($3::timestamptz is null or slot < $3) and (cardinality($4::text[]) = 0 or state = any($4)) order by slot desc, key limit $5`,
			q.Target, string(q.Trigger), before, states, cmp.Or(q.Limit, defaultLimit)))
		return err
	})
	return runs, err
}

func (d *database) Get(ctx context.Context, id string) (r Run, err error) {
	err = d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		r, err = one(tx.Query(ctx, `select record from culprit_runs where id = $1`, id))
		return err
	})
	return r, err
}

func (d *database) Report(ctx context.Context, id string) ([]byte, error) {
	var packed []byte
	err := d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `select report from culprit_runs where id = $1 and report is not null`, id).Scan(&packed)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrUnknown
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return unpack(packed)
}

func (d *database) Depth(ctx context.Context) (queued, running int, err error) {
	err = d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select count(*) filter (where state = 'queued'), count(*) filter (where state = 'running')
			from culprit_runs where state in ('queued', 'running')`).Scan(&queued, &running)
	})
	return queued, running, err
}

func (d *database) Prune(ctx context.Context, k Keep) (removed int, err error) {
	err = d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `delete from culprit_runs where state not in ('queued', 'running') and key in (
			select key from (select key, slot, row_number() over (partition by target order by slot desc, key) as rank,
				row_number() over (partition by target, trigger order by slot desc, key) as newest from culprit_runs) ranked
			where newest > 1 and (($1::float8 > 0 and slot < clock_timestamp() - make_interval(secs => $1::float8)) or ($2::bigint > 0 and rank > $2::bigint)))`,
			k.Age.Seconds(), k.Runs)
		removed = int(tag.RowsAffected())
		return err
	})
	return removed, err
}

// all reads a column of records.
func all(rows pgx.Rows, err error) ([]Run, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Run, err error) {
		var text []byte
		if err = row.Scan(&text); err == nil {
			err = json.Unmarshal(text, &r)
		}
		return r, err
	})
}

// one is the first of them, or ErrUnknown.
func one(rows pgx.Rows, err error) (Run, error) {
	runs, err := all(rows, err)
	if err == nil && len(runs) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return Run{}, err
	}
	return runs[0], nil
}
