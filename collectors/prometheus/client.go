package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/common/config"
)

const (
	// maxBytes bounds one answer, after decompression.
	maxBytes = 256 << 20
	// maxTries of one request, the first included.
	maxTries = 4
	// maxErrorBytes of an answer are read for what the server says is wrong.
	maxErrorBytes = 16 << 10
)

var (
	errBudget   = errors.New("the budget of queries is used up")
	errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxBytes>>20)
)

// client speaks the HTTP API: it counts, bounds, retries and says what went
// wrong in one line without secrets.
type client struct {
	http    *http.Client
	base    *url.URL
	headers map[string]string
	timeout time.Duration
	budget  int64
	slots   chan struct{} // one for each request at a time

	requests atomic.Int64
	useGET   atomic.Bool  // the server refuses POST
	skew     atomic.Int64 // ms that our clock is ahead of the server's Date, of the last answer
}

func newClient(cfg Config) (*client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("prometheus: the URL must look like http://host:9090 or https://host/prefix")
	}
	if err := cfg.HTTP.Validate(); err != nil {
		return nil, fmt.Errorf("prometheus: the HTTP client settings: %w", err)
	}
	h, err := config.NewClientFromConfig(cfg.HTTP, "prometheus")
	if err != nil {
		return nil, fmt.Errorf("prometheus: the HTTP client settings: %w", err)
	}
	h.CheckRedirect = sameHost
	return &client{http: h, base: base, headers: cfg.Headers, timeout: cfg.Timeout,
		budget: int64(cfg.MaxQueries), slots: make(chan struct{}, cfg.Concurrency)}, nil
}

// sameHost refuses to carry credentials and questions to a host that the user
// did not name.
func sameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host {
		return errors.New("it redirects to another host, which is refused: give the final URL")
	}
	if len(via) >= 5 {
		return errors.New("it redirects more than 5 times")
	}
	return nil
}

// target is the address without userinfo and query.
func (c *client) target() string {
	u := url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: strings.TrimRight(c.base.Path, "/")}
	return u.String()
}

// call is one request: a path below the base URL and its parameters, in the
// URL where the API knows only GET, in the body otherwise.
type call struct {
	path string
	form url.Values
	get  bool
}

// fetch makes a call and decodes the answer with read, which is called again,
// on a fresh answer, when a try breaks off in the middle. Errors name the
// server and what it said.
func fetch[T any](ctx context.Context, c *client, ask call, read func(*scanner) (T, error)) (T, error) {
	var zero T
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return zero, c.explain(ctx, ctx.Err())
	}
	wait := backoff.NewExponentialBackOff() // jitter of half the interval is its default
	wait.InitialInterval = 200 * time.Millisecond
	wait.MaxInterval = 5 * time.Second
	out, err := backoff.Retry(ctx, func() (T, error) {
		if c.requests.Add(1) > c.budget {
			c.requests.Add(-1)
			return zero, backoff.Permanent(errBudget)
		}
		return try(ctx, c, ask, read)
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(2*c.timeout))
	if err != nil {
		return zero, c.explain(ctx, err)
	}
	return out, nil
}

func try[T any](ctx context.Context, c *client, ask call, read func(*scanner) (T, error)) (T, error) {
	var zero T
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.send(ctx, ask)
	if err != nil {
		return zero, retryable(err)
	}
	defer func() { _ = res.Body.Close() }()
	c.noteClock(res)
	body := &cappedReader{in: res.Body, left: maxBytes}
	if err := refusal(res, body); err != nil {
		return zero, err
	}
	out, err := read(newScanner(body))
	if err != nil {
		return out, retryable(err)
	}
	return out, nil
}

func (c *client) send(ctx context.Context, ask call) (*http.Response, error) {
	post := !ask.get && !c.useGET.Load()
	req, err := c.request(ctx, ask, post)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil || !post || !refusesPOST(res.StatusCode) {
		return res, err
	}
	_ = res.Body.Close()
	if req, err = c.request(ctx, ask, false); err != nil {
		return nil, err
	}
	res, err = c.http.Do(req)
	if err == nil && res.StatusCode/100 == 2 {
		c.useGET.Store(true)
	}
	return res, err
}

// refusesPOST: proxies in front of a Prometheus may let only GET through.
func refusesPOST(status int) bool {
	return status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented || status == http.StatusForbidden
}

func (c *client) request(ctx context.Context, ask call, post bool) (*http.Request, error) {
	u := *c.base
	u = *u.JoinPath(ask.path)
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if post {
		method, body = http.MethodPost, strings.NewReader(ask.form.Encode())
	} else if len(ask.form) > 0 {
		q := u.Query()
		for k, vs := range ask.form {
			q[k] = vs
		}
		u.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, errors.New("the URL cannot be used")
	}
	if post {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	for k, v := range c.headers {
		req.Header.Set(k, v)
	}
	return req, nil
}

// noteClock compares the server's Date, which has whole seconds, with ours.
func (c *client) noteClock(res *http.Response) {
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		c.skew.Store(time.Until(at.Add(500*time.Millisecond)).Milliseconds() * -1)
	}
}

// cappedReader ends with errTooLarge instead of reading on for ever.
type cappedReader struct {
	in   io.Reader
	left int64
}

func (r *cappedReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.in.Read(p)
	r.left -= int64(n)
	return n, err
}

// refusal turns an answer that is not data into an error, nil where it is data.
func refusal(res *http.Response, body io.Reader) error {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	ok := res.StatusCode/100 == 2
	if ok && kind != "text/html" {
		return nil
	}
	err := &statusError{Status: res.StatusCode, HTML: kind == "text/html"}
	text, _ := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	_, said := decodeEnvelope(newScanner(strings.NewReader(string(text))), func() error { return errNotPrometheus })
	var api *apiError
	if errors.As(said, &api) {
		err.API = api
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if s, e := strconv.Atoi(res.Header.Get("Retry-After")); e == nil && s >= 0 && s <= 30 {
			return errors.Join(err, backoff.RetryAfter(s))
		}
		return err
	}
	return backoff.Permanent(err)
}
