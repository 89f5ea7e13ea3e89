package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// Beside runs sessions of others at the database while the load runs. The
// function that it returns ends them and says what failed before that.
func Beside(ctx context.Context, dsn string, sessions []scenario.Session) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var each []scenario.Session
	for _, s := range sessions {
		each = append(each, slices.Repeat([]scenario.Session{s}, max(s.Count, 1))...)
	}
	failed := make([]error, len(each))
	var all sync.WaitGroup
	for i, s := range each {
		all.Go(func() { failed[i] = repeat(ctx, dsn, s) })
	}
	return func() error {
		cancel()
		all.Wait()
		return errors.Join(failed...)
	}
}

// repeat holds a session as often as it is asked for. One that lasts longer
// than its interval begins again at once.
func repeat(ctx context.Context, dsn string, s scenario.Session) error {
	if !wait(ctx, s.At) {
		return nil
	}
	for {
		began := time.Now()
		if err := hold(ctx, dsn, s); err != nil {
			return err
		}
		if s.Every == 0 || !wait(ctx, s.Every-time.Since(began)) {
			return nil
		}
	}
}

// hold runs one session from its connection to its end. What fails because the
// load is over has not failed.
func hold(ctx context.Context, dsn string, s scenario.Session) error {
	err := func() error {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return err
		}
		config.RuntimeParams["application_name"] = s.Name
		conn, err := connect(ctx, config)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		for _, sql := range s.SQL {
			if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		wait(ctx, s.Hold)
		return nil
	}()
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("session %s: %w", s.Name, err)
}

// askAgain is after what time one asks again that was refused.
const askAgain = 200 * time.Millisecond

// connect asks until the server has a connection to give.
func connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	for {
		conn, err := pgx.ConnectConfig(ctx, config)
		if full := (*pgconn.PgError)(nil); !errors.As(err, &full) || full.Code != tooManyConnections || !wait(ctx, askAgain) {
			return conn, err
		}
	}
}

// tooManyConnections is the SQLSTATE of a server that is full.
const tooManyConnections = "53300"

// wait says whether the time passed before the end of the load.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}
