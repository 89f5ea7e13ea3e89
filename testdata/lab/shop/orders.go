package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// orders takes orders, lists them, and ingests events about them.
type orders struct {
	db       *database
	client   *http.Client
	payments *paymentClient
	queue    *queueClient // nil: payments are called
	partner  string       // base URL
	widgets  [][]figure
	choices  settings.Choices
}

type order struct {
	ID      int64     `json:"id"`
	Status  string    `json:"status"`
	Cents   int64     `json:"cents"`
	Created time.Time `json:"created"`
	Items   []item    `json:"items"`
}

type item struct {
	Product  int64  `json:"product"`
	Name     string `json:"name,omitempty"`
	Quantity int64  `json:"quantity"`
	Cents    int64  `json:"cents"`
}

// orderRequest is the body of POST /orders.
type orderRequest struct {
	Customer int64  `json:"customer"`
	Card     string `json:"card"`
	Items    []item `json:"items"`
}

func newOrders(ctx context.Context, p settings.Process, t *telemetry) (routes, func(), error) {
	db, err := openPool(ctx, p, t)
	if err != nil {
		return nil, nil, err
	}
	client := t.client()
	o := &orders{
		db:       db,
		client:   client,
		payments: &paymentClient{client: client, url: p.Peers["payments"] + p.Rename("/payments"), attempts: p.Choices.PayAttempts, patience: p.Choices.Patience},
		partner:  p.Peers["partner"],
		widgets:  widgetsOf(p.Choices.Figures),
		choices:  p.Choices,
	}
	if p.Choices.Paying == settings.PayByQueue {
		o.queue = newQueueClient(ctx, p, t)
	}
	return routes{"GET /orders": o.list, "POST /orders": o.place, "POST /events": o.ingest, "GET /quotes": o.quotes, "GET /summary": o.summary}, db.Close, nil
}

// list answers with a customer's last orders and their items.
func (o *orders) list(w http.ResponseWriter, r *http.Request) {
	customer, err := strconv.ParseInt(r.URL.Query().Get("customer"), 10, 64)
	if err != nil {
		fail(w, badRequest{fmt.Errorf("customer: %w", err)})
		return
	}
	found, err := o.lastOrders(r.Context(), customer)
	if err == nil && o.choices.ItemLoading == settings.ItemsEach {
		err = o.nameEach(r.Context(), found)
	}
	answer(w, found, err)
}

const (
	lastOrders = `WITH last AS (SELECT id, status, cents, created_at FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 30) `

	lastOrdersNamed = lastOrders + `SELECT last.id, last.status, last.cents, last.created_at, i.product_id, p.name, i.quantity, i.cents
FROM last JOIN order_items i ON i.order_id = last.id JOIN products p ON p.id = i.product_id ORDER BY last.created_at DESC, last.id, i.product_id`

	lastOrdersUnnamed = lastOrders + `SELECT last.id, last.status, last.cents, last.created_at, i.product_id, '' AS name, i.quantity, i.cents
FROM last JOIN order_items i ON i.order_id = last.id ORDER BY last.created_at DESC, last.id, i.product_id`
)

func (o *orders) lastOrders(ctx context.Context, customer int64) ([]*order, error) {
	statement := lastOrdersNamed
	if o.choices.ItemLoading == settings.ItemsEach {
		statement = lastOrdersUnnamed
	}
	rows, err := o.db.Query(ctx, statement, customer)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	defer rows.Close()
	var found []*order
	for rows.Next() {
		var of order
		var with item
		if err := rows.Scan(&of.ID, &of.Status, &of.Cents, &of.Created, &with.Product, &with.Name, &with.Quantity, &with.Cents); err != nil {
			return nil, fmt.Errorf("list orders: %w", err)
		}
		if len(found) == 0 || found[len(found)-1].ID != of.ID {
			found = append(found, &of)
		}
		last := found[len(found)-1]
		last.Items = append(last.Items, with)
	}
	return found, rows.Err()
}

// nameEach looks up each item's product by itself, as lazily loaded relations
// of an object mapper do.
func (o *orders) nameEach(ctx context.Context, found []*order) error {
	for _, order := range found {
		for i := range order.Items {
			err := o.db.QueryRow(ctx, "SELECT name FROM products WHERE id = $1", order.Items[i].Product).Scan(&order.Items[i].Name)
			if err != nil {
				return fmt.Errorf("look up product: %w", err)
			}
		}
	}
	return nil
}

// place stores an order and has it paid.
func (o *orders) place(w http.ResponseWriter, r *http.Request) {
	var request orderRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		fail(w, badRequest{fmt.Errorf("decode order: %w", err)})
		return
	}
	if len(request.Items) == 0 {
		fail(w, badRequest{errors.New("an order has items")})
		return
	}
	placed, store := order{Status: "paid", Items: request.Items}, o.storePaid
	if o.queue != nil {
		store = o.storeAndQueue
	}
	err := store(r.Context(), request, &placed)
	answer(w, placed, err)
}

// storePaid keeps order and payment together: the transaction, and with it a
// connection, is held while the payment is made.
func (o *orders) storePaid(ctx context.Context, request orderRequest, placed *order) error {
	return pgx.BeginFunc(ctx, o.db, func(tx pgx.Tx) error {
		if err := o.store(ctx, tx, request, placed); err != nil {
			return err
		}
		err := o.payments.pay(ctx, payment{Order: placed.ID, Card: request.Card, Cents: placed.Cents})
		if errors.Is(err, errUnpaid) {
			placed.Status = "unpaid" // the invoice follows by mail
			return nil
		}
		if err != nil {
			return err
		}
		return settle(ctx, tx, placed.ID)
	})
}

// storeAndQueue has the order paid by way of the queue. No transaction is held
// for as long as that takes.
func (o *orders) storeAndQueue(ctx context.Context, request orderRequest, placed *order) error {
	err := pgx.BeginFunc(ctx, o.db, func(tx pgx.Tx) error { return o.store(ctx, tx, request, placed) })
	if err != nil {
		return err
	}
	if err := o.queue.pay(ctx, payment{Order: placed.ID, Card: request.Card, Cents: placed.Cents}); err != nil {
		return err
	}
	return settle(ctx, o.db, placed.ID)
}

func (o *orders) store(ctx context.Context, tx pgx.Tx, request orderRequest, placed *order) error {
	if err := insertOrder(ctx, tx, request, placed); err != nil {
		return err
	}
	return o.addToTotals(ctx, tx, request.Customer, placed.Cents)
}

func insertOrder(ctx context.Context, tx pgx.Tx, request orderRequest, placed *order) error {
	for _, item := range request.Items {
		placed.Cents += item.Cents * item.Quantity
	}
	err := tx.QueryRow(ctx, "INSERT INTO orders (customer_id, status, cents, note) VALUES ($1, 'placed', $2, '') RETURNING id, created_at",
		request.Customer, placed.Cents).Scan(&placed.ID, &placed.Created)
	if err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	var batch pgx.Batch
	for _, item := range request.Items {
		batch.Queue("INSERT INTO order_items (order_id, product_id, quantity, cents) VALUES ($1, $2, $3, $4)",
			placed.ID, item.Product, item.Quantity, item.Cents)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("insert items: %w", err)
	}
	return nil
}

// addToTotals keeps the sales of the day in a few rows, which orders share.
func (o *orders) addToTotals(ctx context.Context, tx pgx.Tx, customer, cents int64) error {
	if o.choices.SalesTotals == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE sales_totals SET orders = orders + 1, cents = cents + $2 WHERE id = $1",
		customer%int64(o.choices.SalesTotals), cents)
	if err != nil {
		return fmt.Errorf("add to totals: %w", err)
	}
	return nil
}

// execer is a connection, a transaction, or a pool.
type execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

func settle(ctx context.Context, tx execer, id int64) error {
	if _, err := tx.Exec(ctx, "UPDATE orders SET status = 'paid' WHERE id = $1", id); err != nil {
		return fmt.Errorf("settle order: %w", err)
	}
	return nil
}
