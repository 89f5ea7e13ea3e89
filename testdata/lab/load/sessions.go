package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// Beside runs sessions of others at the database while the load runs. The
// function that it returns ends them and says what failed before that.
func Beside(ctx context.Context, dsn string, sessions []scenario.Session) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	failed := make([]error, len(sessions))
	var all sync.WaitGroup
	for i, s := range sessions {
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
		conn, err := pgx.ConnectConfig(ctx, config)
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

// wait says whether the time passed before the end of the load.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}
