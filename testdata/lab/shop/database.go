package shop

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is a pool whose tables may be called otherwise than the shop's code
// calls them.
type database struct {
	*pgxpool.Pool
	rename func(string) string
}

func (d *database) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return d.Pool.Query(ctx, d.rename(sql), args...)
}

func (d *database) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return d.Pool.QueryRow(ctx, d.rename(sql), args...)
}

func (d *database) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return d.Pool.Exec(ctx, d.rename(sql), args...)
}

func (d *database) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := d.Pool.Begin(ctx)
	return transaction{tx, d.rename}, err
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
