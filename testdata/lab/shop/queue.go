package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// message asks for a payment; the answer goes to the list that it names.
type message struct {
	Payment payment                `json:"payment"`
	Reply   string                 `json:"reply"`
	Context propagation.MapCarrier `json:"context"`
}

// reply says how the payment of an order went.
type reply struct {
	Order int64  `json:"order"`
	Error string `json:"error,omitempty"`
}

// messaging counts messages as OpenTelemetry's conventions name them.
func (t *telemetry) messaging(name, help string) prometheus.Counter {
	labels := prometheus.Labels{"messaging_system": "redis", "messaging_destination_name": settings.PaymentsQueue}
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	t.own.MustRegister(c)
	return c
}

func spanOf(tracer trace.Tracer, ctx context.Context, operation string, kind trace.SpanKind) (context.Context, trace.Span) {
	return tracer.Start(ctx, operation+" "+settings.PaymentsQueue, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("messaging.system", "redis"), attribute.String("messaging.destination.name", settings.PaymentsQueue),
		attribute.String("messaging.operation.name", operation), attribute.String("messaging.operation.type", operation)))
}

// queueClient puts payments into the queue and waits for the answers. The
// connection that waits for them is not traced: it serves all requests.
type queueClient struct {
	redis   *redis.Client
	tracer  trace.Tracer
	sent    prometheus.Counter
	replies string
	mu      sync.Mutex
	waiting map[int64]chan error
}

func newQueueClient(ctx context.Context, p settings.Process, t *telemetry) *queueClient {
	q := &queueClient{
		redis: redis.NewClient(&redis.Options{Addr: p.Redis}), tracer: t.tracers.Tracer("payments queue"),
		sent:    t.messaging("messaging_client_sent_messages_total", "Messages that a producer attempted to send."),
		replies: settings.PaymentsQueue + ":replies:" + p.Listen, waiting: map[int64]chan error{},
	}
	go q.listen(ctx)
	return q
}

// pay puts a payment into the queue and waits until it is made.
func (q *queueClient) pay(ctx context.Context, p payment) error {
	answered := make(chan error, 1)
	q.mu.Lock()
	q.waiting[p.Order] = answered
	q.mu.Unlock()
	defer func() { q.mu.Lock(); delete(q.waiting, p.Order); q.mu.Unlock() }()
	if err := q.send(ctx, p); err != nil {
		return fmt.Errorf("queue payment: %w", err)
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *queueClient) send(ctx context.Context, p payment) error {
	ctx, span := spanOf(q.tracer, ctx, "send", trace.SpanKindProducer)
	defer span.End()
	m := message{Payment: p, Reply: q.replies, Context: propagation.MapCarrier{}}
	propagation.TraceContext{}.Inject(ctx, m.Context)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	q.sent.Inc()
	return q.redis.LPush(ctx, settings.PaymentsQueue, text).Err()
}

// listen hands answers to those who wait for them, until the context ends.
func (q *queueClient) listen(ctx context.Context) {
	defer q.redis.Close()
	for ctx.Err() == nil {
		var r reply
		if !pop(ctx, q.redis, q.replies, &r) {
			continue
		}
		var err error
		if r.Error != "" {
			err = errors.New(r.Error)
		}
		q.mu.Lock()
		answered := q.waiting[r.Order]
		delete(q.waiting, r.Order) // a second answer finds nobody
		q.mu.Unlock()
		if answered != nil {
			answered <- err
		}
	}
}

// pop takes the oldest of a list, and reports whether there was one within a second.
func pop(ctx context.Context, client *redis.Client, list string, into any) bool {
	found, err := client.BRPop(ctx, time.Second, list).Result()
	if err != nil {
		if !errors.Is(err, redis.Nil) {
			pause(ctx, 100*time.Millisecond) // the server may be back then
		}
		return false
	}
	return json.Unmarshal([]byte(found[1]), into) == nil
}

// consume makes queued payments one after the other until the context ends.
func (p *payments) consume(ctx context.Context, client *redis.Client, consumed prometheus.Counter) {
	for ctx.Err() == nil {
		var m message
		if !pop(ctx, client, settings.PaymentsQueue, &m) {
			continue
		}
		consumed.Inc()
		answer := reply{Order: m.Payment.Order}
		if err := p.process(ctx, m); err != nil {
			answer.Error = err.Error()
		}
		if text, err := json.Marshal(answer); err == nil {
			client.LPush(ctx, m.Reply, text)
		}
	}
}

func (p *payments) process(ctx context.Context, m message) error {
	ctx, span := spanOf(p.tracer, propagation.TraceContext{}.Extract(ctx, m.Context), "process", trace.SpanKindConsumer)
	defer span.End()
	return p.settle(ctx, m.Payment)
}

// startConsumers of the queue, where payments come by it.
func (p *payments) startConsumers(ctx context.Context, s settings.Process, t *telemetry) (release func()) {
	if s.Choices.Paying != settings.PayByQueue {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	client := redis.NewClient(&redis.Options{Addr: s.Redis, PoolSize: 2 * s.Choices.Consumers})
	consumed := t.messaging("messaging_client_consumed_messages_total", "Messages that were delivered to the application.")
	var consumers sync.WaitGroup
	for range s.Choices.Consumers {
		consumers.Go(func() { p.consume(ctx, client, consumed) })
	}
	return func() { stop(); consumers.Wait(); _ = client.Close() }
}
