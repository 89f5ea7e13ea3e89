package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is one read-only connection that opens itself again when it was
// lost. Through a pooler that refuses start-up parameters the same limits are
// set in each transaction.
type session struct {
	config  *pgx.ConnConfig
	timeout time.Duration
	conn    *pgx.Conn
	pooled  bool

	requests int
	opened   int
	lost     int // connections that broke and were opened again
	spent    time.Duration
}

func newSession(config *pgx.ConnConfig, timeout time.Duration) *session {
	return &session{config: config, timeout: timeout}
}

const lockTimeoutMS = 200

// limits are the settings that keep us harmless, in ms where they are times.
func (s *session) limits() [][2]string {
	return [][2]string{
		{"default_transaction_read_only", "on"},
		{"statement_timeout", fmt.Sprint(s.timeout.Milliseconds())},
		{"lock_timeout", fmt.Sprint(lockTimeoutMS)},
		{"idle_in_transaction_session_timeout", "10000"},
	}
}

func (s *session) alive() bool { return s.conn != nil && !s.conn.IsClosed() }

// open connects where there is no live connection.
func (s *session) open(ctx context.Context) error {
	if s.alive() {
		return nil
	}
	err := s.connect(ctx)
	if code(err) == codeProtocol && !s.pooled {
		s.pooled = true
		err = s.connect(ctx)
	}
	if err != nil {
		return s.plain(err)
	}
	return nil
}

func (s *session) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	config := s.config.Copy()
	config.ConnectTimeout = s.timeout
	config.RuntimeParams["application_name"] = "culprit"
	if !s.pooled {
		for _, l := range s.limits() {
			config.RuntimeParams[l[0]] = l[1]
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	s.conn = conn
	s.opened++
	return s.confirm(ctx)
}

// confirm notices a pooler that swallowed the start-up parameters: the limits
// are not in force then, and prepared statements would meet other sessions.
func (s *session) confirm(ctx context.Context) error {
	var ms float64
	err := s.conn.QueryRow(ctx, `select /* culprit */ setting::float8 from pg_catalog.pg_settings where name = 'statement_timeout'`, pgx.QueryExecModeExec).Scan(&ms)
	if err != nil {
		s.close()
		return err
	}
	if ms != float64(s.timeout.Milliseconds()) {
		s.pooled = true
	}
	return nil
}

// exposed reports whether the present connection crosses a network in clear.
func (s *session) exposed() bool {
	if !s.alive() {
		return false
	}
	_, encrypted := s.conn.PgConn().Conn().(*tls.Conn)
	remote, network := s.conn.PgConn().Conn().RemoteAddr().(*net.TCPAddr)
	return !encrypted && network && !remote.IP.IsLoopback()
}

func (s *session) close() {
	if s == nil || s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
	s.conn = nil
}

// rows asks one question in a transaction of its own, so that statistics are
// fresh each time, and reads all of the answer. Where the connection turns out
// to be lost, a restart perhaps, it asks once more on a new one.
func rows[T any](ctx context.Context, s *session, to pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	start := time.Now()
	defer func() { s.requests++; s.spent += time.Since(start) }()
	reused := s.alive()
	out, err := once(ctx, s, to, sql, args)
	if err != nil && reused && !s.alive() && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		s.lost++
		out, err = once(ctx, s, to, sql, args)
	}
	return out, err
}

func once[T any](ctx context.Context, s *session, to pgx.RowToFunc[T], sql string, args []any) (out []T, err error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	// The server gives up first, and the connection survives.
	ctx, cancel := context.WithTimeout(ctx, s.timeout+s.timeout/5)
	defer cancel()
	if !s.pooled {
		return ask(ctx, s.conn, to, sql, args)
	}
	err = s.transaction(ctx, func(tx pgx.Tx) (err error) {
		out, err = ask(ctx, tx, to, sql, append([]any{pgx.QueryExecModeExec}, args...))
		return err
	})
	return out, err
}

type querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}

func ask[T any](ctx context.Context, q querier, to pgx.RowToFunc[T], sql string, args []any) ([]T, error) {
	r, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(r, to)
}

// transaction runs f read-only with the limits set, and rolls back.
func (s *session) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	tx, err := s.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, l := range s.limits()[1:] {
		if _, err := tx.Exec(ctx, fmt.Sprintf("set /* culprit */ local %s = %s", l[0], l[1])); err != nil {
			return err
		}
	}
	return f(tx)
}
