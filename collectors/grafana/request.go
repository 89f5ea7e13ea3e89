package grafana

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/net/html"
)

// refused is an answer that holds no annotations.
type refused struct {
	status int
	html   bool
}

func (r *refused) Error() string {
	switch {
	case r.status/100 == 3:
		return fmt.Sprintf("it answers %d and sends us elsewhere, as to a login page", r.status)
	case r.html:
		return fmt.Sprintf("it answers %d with a web page instead of annotations", r.status)
	case r.status/100 == 2:
		return "its answer is no list of annotations"
	}
	return fmt.Sprintf("it answers %d %s", r.status, http.StatusText(r.status))
}

func (r *refused) remedy() string {
	switch {
	case r.status == http.StatusUnauthorized:
		return "give a service account's token in the configuration: `grafana: {url: ..., authorization: {credentials_file: ...}}`"
	case r.status == http.StatusForbidden:
		return "give the service account the permission `annotations:read` (the role Viewer has it)"
	case r.html || r.status/100 == 3 || r.status == http.StatusNotFound:
		return "give the address of Grafana itself with its path prefix, and a token where it wants a login"
	case r.status/100 == 2:
		return "check that the address is Grafana's"
	}
	return "try again, or look into Grafana's log"
}

// annotations from one time to another, the latest first, at most one more than
// are kept.
func (c *Collector) annotations(ctx context.Context, from, to time.Time) ([]annotation, error) {
	q := url.Values{"from": {strconv.FormatInt(from.UnixMilli(), 10)}, "to": {strconv.FormatInt(to.UnixMilli(), 10)}, "limit": {strconv.Itoa(mostEvents + 1)}}
	if len(c.cfg.Tags) > 0 {
		q["tags"] = c.cfg.Tags
	}
	u := c.base.JoinPath("api", "annotations")
	u.RawQuery = q.Encode()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 200 * time.Millisecond
	return backoff.Retry(ctx, func() ([]annotation, error) { return c.try(ctx, u.String()) }, backoff.WithBackOff(wait), backoff.WithMaxTries(maxTries))
}

func (c *Collector) try(ctx context.Context, address string) ([]annotation, error) {
	c.requests.Add(1)
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, backoff.Permanent(errors.New("the URL cannot be used"))
	}
	req.Header.Set("Accept", "application/json")
	for k, v := range c.cfg.Headers {
		req.Header.Set(k, v)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	return read(res)
}

// unreachable says why without the URL, which may hold a secret.
func unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it did not answer within %s", requestTime)
	}
	return fmt.Errorf("it cannot be reached: %w", err)
}

// read an answer. What passes by itself is tried again, what does not is told.
func read(res *http.Response) ([]annotation, error) {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	no := &refused{status: res.StatusCode, html: kind == "text/html"}
	switch {
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		return nil, no
	case res.StatusCode/100 != 2 || no.html:
		return nil, backoff.Permanent(no)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBytes+1))
	if err != nil {
		return nil, unreachable(err)
	}
	if len(text) > maxBytes {
		return nil, backoff.Permanent(fmt.Errorf("its answer is larger than %d MiB: choose by tags", maxBytes>>20))
	}
	var out []annotation
	if json.Unmarshal(text, &out) != nil {
		return nil, backoff.Permanent(no)
	}
	return out, nil
}

// plain is the text of an annotation without its markup: Grafana shows it as
// HTML.
func plain(text string) string {
	var b strings.Builder
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		switch z.Next() {
		case html.ErrorToken:
			out := []rune(strings.Join(strings.Fields(b.String()), " "))
			return string(out[:min(len(out), maxText)])
		case html.TextToken:
			b.WriteString(z.Token().Data)
		default:
			b.WriteByte(' ')
		}
	}
}
