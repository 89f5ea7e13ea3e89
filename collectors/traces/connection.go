package traces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	maxMessage  = 64 << 20 // bytes of one answer, decompressed
	slowAnswer  = 5 * time.Second
	slowAllowed = 3 // slow answers before the search stops
	attempts    = 4
	firstPause  = 500 * time.Millisecond
	longestWait = 10 * time.Second
)

// errSuffering ends a search: the server is slow enough that asking on would
// disturb what is being observed.
var errSuffering = fmt.Errorf("stopped: %d answers took longer than %s", slowAllowed, slowAnswer)

// errBytes ends a search whose byte budget is spent.
var errBytes = errors.New("stopped: the byte budget is spent")

// answerError is an answer that is no answer.
type answerError struct {
	code    int // HTTP status, 0 for another trouble
	text    string
	after   time.Duration // Retry-After
	foreign bool          // a web page: the server does not know the path
}

func (e *answerError) Error() string { return e.text }

// meter counts what talking to one server costs and stops before it hurts.
type meter struct {
	sync.Mutex
	requests int
	bytes    int64
	maxBytes int64
	slow     int
	backoffs int
}

// polite runs one request, again after a pause when the server asks for
// patience (429, 503, RESOURCE_EXHAUSTED), and minds how long it takes.
func (m *meter) polite(ctx context.Context, timeout time.Duration, request func(context.Context) error) error {
	pause := firstPause
	for try := 1; ; try++ {
		if err := m.admit(); err != nil {
			return err
		}
		err := m.timed(ctx, timeout, request)
		wait, again := patience(err, pause)
		if !again || try == attempts {
			return err
		}
		m.Lock()
		m.backoffs++
		m.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause *= 2
	}
}

func (m *meter) admit() error {
	m.Lock()
	defer m.Unlock()
	switch {
	case m.slow >= slowAllowed:
		return errSuffering
	case m.maxBytes > 0 && m.bytes >= m.maxBytes:
		return errBytes
	}
	m.requests++
	return nil
}

func (m *meter) timed(ctx context.Context, timeout time.Duration, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	start := time.Now()
	err := request(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	m.Lock()
	defer m.Unlock()
	if time.Since(start) > min(slowAnswer, timeout) {
		m.slow++
	}
	return err
}

func (m *meter) received(n int) {
	m.Lock()
	m.bytes += int64(n)
	m.Unlock()
}

// patience reports whether the server asks to be asked again later, and when.
func patience(err error, pause time.Duration) (time.Duration, bool) {
	var answer *answerError
	switch {
	case errors.As(err, &answer):
		return min(max(pause, answer.after), longestWait), answer.code == http.StatusTooManyRequests || answer.code == http.StatusServiceUnavailable
	case status.Code(err) == codes.ResourceExhausted:
		tooLarge := strings.Contains(err.Error(), "larger than max")
		return pause, !tooLarge
	}
	return 0, false
}

// httpStore is the HTTP side of every store: one base address, one client, the
// caller's headers, answers that are checked and bounded.
type httpStore struct {
	base    *url.URL
	client  *http.Client
	headers map[string]string
	timeout time.Duration
	meter   *meter
}

// get reads base + path. The error says what was wrong with the answer; it
// holds neither user nor query of the address.
func (s *httpStore) get(ctx context.Context, path string, query url.Values, accept string) (body []byte, err error) {
	err = s.meter.polite(ctx, s.timeout, func(ctx context.Context) error {
		body, err = s.once(ctx, path, query, accept)
		return err
	})
	return body, err
}

func (s *httpStore) once(ctx context.Context, path string, query url.Values, accept string) ([]byte, error) {
	target := s.base.JoinPath(path)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("build the request for %s", path)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "gzip") // set by us, so decompressed by us, within the bound
	for name, value := range s.headers {
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, networkError(err))
	}
	defer resp.Body.Close()
	body, err := readAnswer(resp)
	s.meter.received(len(body))
	if err != nil {
		return nil, fmt.Errorf("get %s: read the answer: %w", path, networkError(err))
	}
	if err := checkAnswer(resp, body, accept); err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	return body, nil
}

func readAnswer(resp *http.Response) ([]byte, error) {
	if resp.Header.Get("Content-Encoding") != "gzip" {
		return readBounded(resp.Body, maxMessage)
	}
	unzipped, err := gzip.NewReader(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return readBounded(unzipped, maxMessage)
}

// readBounded reads all of r, which must not exceed limit bytes: the bound is
// on what leaves a decompressor.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, &answerError{text: fmt.Sprintf("it is larger than %d MiB", limit>>20)}
	}
	return body, err
}

// networkError drops the address that net/http puts in front: it may hold a
// password or a token.
func networkError(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch text := err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the connection closed early: %w", err)
	case strings.Contains(text, "malformed HTTP response"):
		return errors.New("the server does not speak HTTP; if this is Jaeger's gRPC port, write the address as grpc://host:port")
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return errors.New("the server speaks plain HTTP; write the address as http://")
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("cannot connect to %s: %w", op.Addr, op.Err)
	}
	return err
}

// checkAnswer refuses what is not the kind of answer that was asked for.
func checkAnswer(resp *http.Response, body []byte, accept string) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return &answerError{code: resp.StatusCode, text: fmt.Sprintf("the server refuses access (%s); check credentials and tenant", resp.Status)}
	case resp.StatusCode/100 != 2:
		return &answerError{code: resp.StatusCode, text: strings.TrimSuffix(resp.Status+": "+serverWords(kind, body), ": "), after: retryAfter(resp)}
	case kind == "text/html":
		return &answerError{text: "the answer is a web page, not data; is this the address of the trace store?", foreign: true}
	}
	return nil
}

// serverWords quotes the server's own error, briefly.
func serverWords(kind string, body []byte) string {
	if kind == "text/html" {
		return ""
	}
	var known struct {
		Error  struct{ Message string }
		Errors []struct{ Msg string }
	}
	if decodeJSON(body, &known) == nil {
		if known.Error.Message != "" {
			return clean(known.Error.Message, 200)
		}
		if len(known.Errors) > 0 {
			return clean(known.Errors[0].Msg, 200)
		}
	}
	return strings.TrimSpace(clean(string(body[:min(len(body), 400)]), 200))
}

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// isStatus reports whether err is an HTTP answer with this status.
func isStatus(err error, code int) bool {
	var answer *answerError
	return errors.As(err, &answer) && answer.code == code
}
