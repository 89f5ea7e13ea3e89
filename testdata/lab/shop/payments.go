package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// payments charges cards and keeps a record.
type payments struct {
	db      *database
	tracer  trace.Tracer
	client  *http.Client
	answer  time.Duration // of the card network
	partner string        // base URL; "": a card takes its time and nobody is asked
}

// payment is the body of POST /payments.
type payment struct {
	Order int64  `json:"order"`
	Card  string `json:"card"`
	Cents int64  `json:"cents"`
}

func newPayments(ctx context.Context, p settings.Process, t *telemetry) (routes, func(), error) {
	db, err := openPool(ctx, p, t)
	if err != nil {
		return nil, nil, err
	}
	service := &payments{db: db, tracer: t.tracers.Tracer("payments"), client: t.client(), answer: p.Choices.Authorization}
	if p.Choices.Authorizing == settings.AuthorizedByPartner {
		service.partner = p.Peers["partner"]
	}
	stop := service.startConsumers(ctx, p, t)
	return routes{"POST /payments": limited(p.Choices.PayRate, service.charge)}, func() { stop(); db.Close() }, nil
}

func (p *payments) charge(w http.ResponseWriter, r *http.Request) {
	var charge payment
	if err := json.NewDecoder(r.Body).Decode(&charge); err != nil {
		fail(w, badRequest{fmt.Errorf("decode payment: %w", err)})
		return
	}
	// A payment that was begun is finished, whoever waits for it.
	err := p.settle(context.WithoutCancel(r.Context()), charge)
	answer(w, map[string]string{"status": "authorized"}, err)
}

// settle has the card network authorize a payment, and records it.
func (p *payments) settle(ctx context.Context, charge payment) error {
	if err := p.authorize(ctx); err != nil {
		return err
	}
	_, err := p.db.Exec(ctx, "INSERT INTO payments (order_id, cents) VALUES ($1, $2)", charge.Order, charge.Cents)
	return err
}

// authorize asks the card network, or waits for as long as one would take.
func (p *payments) authorize(ctx context.Context) error {
	if p.partner != "" {
		return post(ctx, p.client, p.partner+"/authorize", nil)
	}
	ctx, span := p.tracer.Start(ctx, "authorize card", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	if !pause(ctx, p.answer) {
		return ctx.Err()
	}
	return nil
}

// paymentClient calls the payments service.
type paymentClient struct {
	client   *http.Client
	url      string
	attempts int           // as long as payments fails or is silent, without a pause between them
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
		var refused statusError
		err := c.once(ctx, body)
		switch {
		case !errors.As(err, &refused) && !errors.Is(err, errUnpaid):
			return err
		case refused.after > 0 && attempt < mostRefusals && pause(ctx, refused.after):
		case attempt >= c.attempts:
			return err
		}
	}
}

// mostRefusals after which a caller who was told to come again gives up.
const mostRefusals = 20

func (c *paymentClient) once(ctx context.Context, body []byte) error {
	if c.patience == 0 {
		return post(ctx, c.client, c.url, body)
	}
	limited, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	err := post(limited, c.client, c.url, body)
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
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // most say nothing
		return statusError{request.URL.Path, response.StatusCode, time.Duration(seconds) * time.Second}
	}
	return nil
}
