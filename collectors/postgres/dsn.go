package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// parseDSN drops the driver's own error text, because it can quote a part of
// the password.
func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	if strings.TrimSpace(dsn) == "" {
		return nil, errors.New("postgres: no DSN given, want postgres://user@host:port/database")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("postgres: the DSN (or a PG* environment variable) cannot be parsed, want postgres://user@host:port/database or key=value pairs; special characters of a password must be percent-encoded in a URL")
	}
	return config, nil
}

// target names the server without user or password.
func target(c *pgx.ConnConfig) string {
	database := c.Database
	if database == "" {
		database = c.User
	}
	if strings.HasPrefix(c.Host, "/") {
		return fmt.Sprintf("%s:%d/%s", c.Host, c.Port, database)
	}
	return fmt.Sprintf("%s/%s", net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), database)
}

// plainError is one line for people, without secrets, over the cause.
type plainError struct {
	text  string
	cause error
}

func (e *plainError) Error() string { return e.text }

// plain says what went wrong in one line. It keeps nothing of the driver's
// text, which can hold the DSN, but what the server itself said, cleaned of
// the password. The cause cannot be unwrapped, so that no layer above can
// print more.
func (s *session) plain(err error) error {
	if p := (*plainError)(nil); err == nil || errors.As(err, &p) {
		return err
	}
	return &plainError{text: redact(describeError(err, s), s.config), cause: err}
}

func describeError(err error, s *session) string {
	var pg *pgconn.PgError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &pg):
		return fmt.Sprintf("the server says: %s (SQLSTATE %s)", oneLine(pg.Message), oneLine(pg.Code))
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		return fmt.Sprintf("no answer within %s", s.timeout)
	case isTLS(err):
		return "TLS failed: the server's certificate or protocol is not acceptable; see sslmode and sslrootcert"
	case errors.As(err, &dns):
		return "the host name cannot be resolved"
	case errors.As(err, &op) && op.Err != nil && op.Op == "dial":
		return "cannot connect: " + oneLine(op.Err.Error())
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed by the other side"
	case strings.Contains(err.Error(), "refused TLS"):
		return "the server refused TLS, and sslmode asks for it"
	}
	return "what answers does not speak PostgreSQL's protocol"
}

func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &authority) || errors.As(err, &host)
}

// redact removes the password in the spellings a server could echo.
func redact(text string, c *pgx.ConnConfig) string {
	for _, secret := range []string{c.Password, url.QueryEscape(c.Password), url.PathEscape(c.Password)} {
		if len(secret) > 0 {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// oneLine bounds a text of the other side, which need not be a PostgreSQL.
func oneLine(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(clean); len(r) > 200 {
		clean = string(r[:200]) + "..."
	}
	return strings.TrimSpace(clean)
}

// code is the SQLSTATE of a server's error, or "".
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	var p *plainError
	if errors.As(err, &p) {
		return code(p.cause)
	}
	return ""
}

// SQLSTATEs that decide something.
const (
	codeTooManyConnections = "53300"
	codeStartingUp         = "57P03"
	codeProtocol           = "08P01"
	codeLockTimeout        = "55P03"
	codeNotPreloaded       = "55000"
	codePrivilege          = "42501"
)
