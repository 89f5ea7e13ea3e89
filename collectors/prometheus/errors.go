package prometheus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/cenkalti/backoff/v5"
)

// statusError is an answer with a status that is not success, or that is a
// page for people.
type statusError struct {
	Status int
	HTML   bool
	API    *apiError // what the server said, where it said it as Prometheus does
}

func (e *statusError) Error() string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return "401 unauthorized: give credentials in the HTTP settings of this source, or its tenant in a header (X-Scope-OrgID)"
	case e.Status == http.StatusForbidden:
		return "403 forbidden: these credentials may not query"
	case e.API != nil:
		return fmt.Sprintf("%d %s: %s", e.Status, e.API.Type, oneLine(e.API.Message, 300))
	case e.HTML && e.Status/100 == 2:
		return "it answered HTML, not JSON: is this the base URL of a Prometheus API, or a login page in front of it?"
	case e.Status == http.StatusNotFound:
		return "404 not found: this is not the base URL of a Prometheus API (some need a prefix such as /prometheus)"
	}
	return fmt.Sprintf("%d %s", e.Status, strings.ToLower(http.StatusText(e.Status)))
}

var errNoAnswer = errors.New("no answer")

// retryable marks as permanent what another try would not mend: everything
// but connections that were cut and answers that broke off.
func retryable(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errEarlyEnd):
		return err
	}
	return backoff.Permanent(err)
}

// explain puts an error of a request into one line that names the server and
// holds nothing of the URL's userinfo or query.
func (c *client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("prometheus at %s: %w", c.target(), context.Cause(ctx))
	}
	err = strip(err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("prometheus at %s: %w within %s", c.target(), errNoAnswer, c.timeout)
	}
	return fmt.Errorf("prometheus at %s: %w", c.target(), err)
}

// strip takes off the layers that would repeat the URL or the mechanics of
// retrying.
func strip(err error) error {
	var (
		permanent *backoff.PermanentError
		refused   *statusError
		inURL     *url.Error
		dns       *net.DNSError
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
	)
	for errors.As(err, &permanent) && permanent != nil {
		if err = permanent.Unwrap(); !errors.As(err, &permanent) {
			break
		}
	}
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &cert), errors.As(err, &authority):
		return errors.New("its TLS certificate is not trusted: give its CA in tls_config")
	case errors.As(err, &dns):
		return fmt.Errorf("its host name cannot be resolved (%s)", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: nothing listens there")
	case errors.As(err, &inURL):
		return inURL.Err
	}
	return err
}

// oneLine folds white space and cuts a text that others wrote.
func oneLine(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
