package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	requestTime = 8 * time.Second
	// mostTries and longestRetry bound what one message costs where a sink is
	// away: the next report says it again.
	mostTries    = 5
	longestRetry = 25 * time.Second
	// longestAnswer that is read of a sink.
	longestAnswer = 1 << 20
)

// firstPause before a message is sent again; the following ones are longer.
var firstPause = 500 * time.Millisecond

func (e *Endpoint) address() (string, error) {
	text := string(e.URL)
	if e.URLFile != "" {
		if text != "" {
			return "", errors.New("url and url_file exclude each other")
		}
		content, err := os.ReadFile(e.URLFile)
		if err != nil {
			return "", fmt.Errorf("reading url_file: %w", err)
		}
		text = strings.TrimSpace(string(content))
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("its url is not http:// or https://") // never the text: it may be a secret
	}
	return text, nil
}

// send posts JSON, or gets where body is nil, and sends again what may pass:
// no connection, 429 and 5xx. What a message does must bear being done twice,
// or key tell the sink that it is the same.
func (p *poster) send(ctx context.Context, path, key string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the message: %w", err)
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = firstPause
	return backoff.Retry(ctx, func() ([]byte, error) { return p.once(ctx, path, key, body == nil, text) },
		backoff.WithBackOff(pause), backoff.WithMaxTries(mostTries), backoff.WithMaxElapsedTime(longestRetry))
}

func (p *poster) once(ctx context.Context, path, key string, get bool, body []byte) ([]byte, error) {
	method := http.MethodPost
	if get {
		method, body = http.MethodGet, nil
	}
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(errors.New("its url is no address"))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "culprit")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return nil, bare(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return content, bare(err)
	case code == http.StatusTooManyRequests || code >= 500:
		if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 && s <= int(longestRetry.Seconds()) {
			return nil, backoff.RetryAfter(s)
		}
		return nil, fmt.Errorf("it answered %s", answer.Status)
	default:
		return nil, backoff.Permanent(fmt.Errorf("it answered %s", answer.Status))
	}
}

// bare takes the address out of an error: it may be a secret.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("no answer: %w", u.Err)
	}
	return err
}
