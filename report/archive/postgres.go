package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// storeConnections bounds what a replica takes of the server.
	storeConnections = 4
	// storeTimeout bounds one question, so that a dead server is known to be.
	storeTimeout = 10 * time.Second
	// storeLock serializes what must be decided on more than one row. It is
	// the name culprit in ASCII.
	storeLock = 0x63756c70726974
)

// schema is made by the service itself, in the first schema of its search_path.
// The columns repeat of the record what is searched; the record is whole. A
// report is compressed already: PostgreSQL need not try.
const schema = `
create table if not exists culprit_runs (
  key text primary key,
  id text not null unique,
  target text not null,
  trigger text not null,
  alert_group text not null,
  slot timestamptz not null,
  state text not null,
  owner text not null,
  attempt int not null,
  added timestamptz not null,
  beat timestamptz,
  record json not null,
  report bytea
);
alter table culprit_runs alter column report set storage external;
create index if not exists culprit_runs_slot on culprit_runs (target, slot desc);
create index if not exists culprit_runs_open on culprit_runs (state, added) where state in ('queued', 'running');
comment on table culprit_runs is 'history of culprit serve, layout 1';`

// database keeps the history of several replicas. A run's row is written once
// by its key; who has it is decided under row locks, and by the server's clock.
type database struct{ pool *pgxpool.Pool }

// OpenPostgres connects and makes the table if need be. A server that is down
// is an error; later outages are errors of the calls that they hit. No error
// shows a password.
func OpenPostgres(ctx context.Context, dsn string) (Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("history: the DSN of PostgreSQL cannot be read; expected postgres://user@host/database or key=value pairs")
	}
	config.MaxConns = storeConnections
	config.MaxConnIdleTime = time.Minute
	config.ConnConfig.ConnectTimeout = storeTimeout / 2
	// No statement is prepared on the server: a pooler may stand in between.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.RuntimeParams["application_name"] = "culprit serve"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, plain(err)
	}
	d := &database{pool}
	if err := d.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return d, nil
}

// prepare makes the table, unless it is there: a role that may not make one
// can still use it.
func (d *database) prepare(ctx context.Context) error {
	return d.locked(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `select to_regclass('culprit_runs') is not null`).Scan(&there); err != nil || there {
			return err
		}
		_, err := tx.Exec(ctx, schema, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// plain says what went wrong in one line, without the statement's values.
func plain(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLost), errors.Is(err, ErrNone), errors.Is(err, ErrUnknown):
		return err
	case errors.As(err, &refused):
		return fmt.Errorf("history: PostgreSQL says: %s (%s)", refused.Message, refused.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("history: PostgreSQL did not answer within %s", storeTimeout)
	}
	return fmt.Errorf("history: PostgreSQL: %w", err)
}

// bounds let the server end a transaction whose replica was frozen or cut off
// in the middle of it: its locks would else hold up all the others.
const bounds = `set local idle_in_transaction_session_timeout = '5s'; set local statement_timeout = '10s'`

// transact runs f in a transaction within the time of a question.
func (d *database) transact(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return plain(pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, bounds, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		return f(ctx, tx)
	}))
}

// locked is a transaction that no other replica's runs beside.
func (d *database) locked(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	return d.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(storeLock)); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// insert writes a new row; false when the key is there already.
func insert(ctx context.Context, tx pgx.Tx, r Run, report []byte) (bool, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, `insert into culprit_runs (key, id, target, trigger, alert_group, slot, state, owner, attempt, added, record, report)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing`,
		r.Key, r.ID, r.Target, string(r.Trigger), r.Group, r.Slot, string(r.State), r.Owner, r.Attempt, r.Added, string(text), report)
	return err == nil && tag.RowsAffected() == 1, err
}

// update writes a row that the caller holds locked. A nil report leaves what
// is there.
func update(ctx context.Context, tx pgx.Tx, r Run, report []byte) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `update culprit_runs set state = $2, owner = $3, attempt = $4, record = $5, report = coalesce($6, report), beat = clock_timestamp() where key = $1`,
		r.Key, string(r.State), r.Owner, r.Attempt, string(text), report)
	return err
}

// Close ends the connections.
func (d *database) Close() { d.pool.Close() }
