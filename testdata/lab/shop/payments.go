package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// payments charges cards and keeps a record.
type payments struct {
	db      *database
	tracer  trace.Tracer
	client  *http.Client
	partner string // base URL; "": a card takes its time and nobody is asked
}

// payment is the body of POST /payments.
type payment struct {
	Order int64  `json:"order"`
	Card  string `json:"card"`
	Cents int64  `json:"cents"`
}

// authorizationTime is how long the card network, which is no part of the
// shop, takes to answer.
const authorizationTime = 80 * time.Millisecond

func newPayments(ctx context.Context, p settings.Process, t *telemetry) (routes, func(), error) {
	db, err := openPool(ctx, p, t)
	if err != nil {
		return nil, nil, err
	}
	service := &payments{db: db, tracer: t.tracers.Tracer("payments"), client: t.client()}
	if p.Choices.Authorizing == settings.AuthorizedByPartner {
		service.partner = p.Peers["partner"]
	}
	return routes{"POST /payments": service.charge}, db.Close, nil
}

func (p *payments) charge(w http.ResponseWriter, r *http.Request) {
	var charge payment
	if err := json.NewDecoder(r.Body).Decode(&charge); err != nil {
		fail(w, badRequest{fmt.Errorf("decode payment: %w", err)})
		return
	}
	// A payment that was begun is finished, whoever waits for it.
	ctx := context.WithoutCancel(r.Context())
	if err := p.authorize(ctx); err != nil {
		fail(w, err)
		return
	}
	_, err := p.db.Exec(ctx, "INSERT INTO payments (order_id, cents) VALUES ($1, $2)", charge.Order, charge.Cents)
	answer(w, map[string]string{"status": "authorized"}, err)
}

// authorize asks the card network, or waits for as long as one would take.
func (p *payments) authorize(ctx context.Context) error {
	if p.partner != "" {
		return post(ctx, p.client, p.partner+"/authorize", nil)
	}
	ctx, span := p.tracer.Start(ctx, "authorize card", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	if !pause(ctx, authorizationTime) {
		return ctx.Err()
	}
	return nil
}

// paymentClient calls the payments service.
type paymentClient struct {
	client   *http.Client
	base     string
	attempts int           // as long as payments fails, without a pause between them
	patience time.Duration // for each attempt; 0: as long as it takes
}

// errUnpaid says that the payment was not waited for.
var errUnpaid = errors.New("payments did not answer in time")

func (c *paymentClient) pay(ctx context.Context, p payment) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode payment: %w", err)
	}
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, body)
		if !errors.As(err, &statusError{}) || attempt == c.attempts {
			return err
		}
	}
}

func (c *paymentClient) once(ctx context.Context, body []byte) error {
	if c.patience == 0 {
		return post(ctx, c.client, c.base+"/payments", body)
	}
	limited, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	err := post(limited, c.client, c.base+"/payments", body)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return errUnpaid
	}
	return err
}

// post sends a body, and fails unless the answer is a 200.
func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("create request: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil { // an unread body costs the connection
		return fmt.Errorf("read answer of %s: %w", request.URL.Path, err)
	}
	if response.StatusCode != http.StatusOK {
		return statusError{request.URL.Path, response.StatusCode}
	}
	return nil
}
