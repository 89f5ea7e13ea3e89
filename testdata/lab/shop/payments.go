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

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// payments charges cards and keeps a record.
type payments struct {
	db     *pgxpool.Pool
	tracer trace.Tracer
	answer time.Duration // of the card network
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
	service := &payments{db: db, tracer: t.tracers.Tracer("payments"), answer: p.Choices.Authorization}
	return routes{"POST /payments": service.charge}, db.Close, nil
}

func (p *payments) charge(w http.ResponseWriter, r *http.Request) {
	var charge payment
	if err := json.NewDecoder(r.Body).Decode(&charge); err != nil {
		fail(w, badRequest{fmt.Errorf("decode payment: %w", err)})
		return
	}
	if err := p.authorize(r.Context()); err != nil {
		fail(w, err)
		return
	}
	_, err := p.db.Exec(r.Context(), "INSERT INTO payments (order_id, cents) VALUES ($1, $2)", charge.Order, charge.Cents)
	answer(w, map[string]string{"status": "authorized"}, err)
}

// authorize waits for the card network.
func (p *payments) authorize(ctx context.Context) error {
	ctx, span := p.tracer.Start(ctx, "authorize card", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	select {
	case <-time.After(p.answer):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// paymentClient calls the payments service.
type paymentClient struct {
	client *http.Client
	base   string
}

func (c *paymentClient) pay(ctx context.Context, p payment) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode payment: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/payments", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("create payment request: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil { // an unread body costs the connection
		return fmt.Errorf("read answer of payments: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return errors.New("pay: payments answered " + response.Status)
	}
	return nil
}
