package shop

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is a pool whose tables may be called otherwise than the shop's code
// calls them.
type database struct {
	*pgxpool.Pool
	rename   func(string) string
	patience time.Duration // for a connection that the server refuses
}

func (d *database) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return patiently(ctx, d.patience, func() (pgx.Rows, error) { return d.Pool.Query(ctx, d.rename(sql), args...) })
}

func (d *database) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := d.Query(ctx, sql, args...)
	return row{rows, err}
}

func (d *database) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return patiently(ctx, d.patience, func() (pgconn.CommandTag, error) { return d.Pool.Exec(ctx, d.rename(sql), args...) })
}

func (d *database) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := patiently(ctx, d.patience, func() (pgx.Tx, error) { return d.Pool.Begin(ctx) })
	return transaction{tx, d.rename}, err
}

// Pools that hide a full server from their users ask again after a pause,
// which doubles up to a longest.
const firstPause, longestPause = 50 * time.Millisecond, 800 * time.Millisecond

// tooManyConnections is the SQLSTATE of a server that is full.
const tooManyConnections = "53300"

// patiently does what needs a connection, and again as long as the server
// refuses one and patience lasts.
func patiently[T any](ctx context.Context, patience time.Duration, do func() (T, error)) (T, error) {
	until := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		out, err := do()
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != tooManyConnections || time.Now().After(until) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return out, err
		case <-time.After(pause):
		}
	}
}

// row is the first of some rows.
type row struct {
	rows pgx.Rows
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return cmp.Or(r.rows.Err(), pgx.ErrNoRows)
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// transaction is one of a database, under the same names.
type transaction struct {
	pgx.Tx
	rename func(string) string
}

func (t transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.Tx.Query(ctx, t.rename(sql), args...)
}

func (t transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.Tx.QueryRow(ctx, t.rename(sql), args...)
}

func (t transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.Tx.Exec(ctx, t.rename(sql), args...)
}

func (t transaction) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	for _, q := range batch.QueuedQueries {
		q.SQL = t.rename(q.SQL)
	}
	return t.Tx.SendBatch(ctx, batch)
}
