// Package shop is a small web shop that behaves like the ones people run: four
// HTTP services with a database, a cache and calls to each other, instrumented
// with the libraries that people use. Its weaknesses are choices of its
// settings; it never pretends to a fault and never touches its own telemetry.
package shop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// routes are the handlers of one service by pattern of its mux.
type routes map[string]http.HandlerFunc

// Run serves one service of the shop until the context ends.
func Run(ctx context.Context, p settings.Process) error {
	switch p.Service {
	case "partner":
		return runPartner(ctx, p)
	case "recommender":
		return runRecommender(ctx, p)
	}
	t, err := newTelemetry(ctx, p)
	if err != nil {
		return fmt.Errorf("set up telemetry of %s: %w", p.Service, err)
	}
	defer t.close()
	served, release, err := newService(ctx, p, t)
	if err != nil {
		return fmt.Errorf("set up %s: %w", p.Service, err)
	}
	defer release()
	return serve(ctx, p.Listen, handler(served, t, p.Rename))
}

// newService builds the service that the settings name. The second result
// frees its connections.
func newService(ctx context.Context, p settings.Process, t *telemetry) (routes, func(), error) {
	switch p.Service {
	case "gateway":
		return newGateway(p, t)
	case "catalog":
		return newCatalog(ctx, p, t)
	case "orders":
		return newOrders(ctx, p, t)
	case "payments":
		return newPayments(ctx, p, t)
	}
	return nil, nil, fmt.Errorf("no service is called %q", p.Service)
}

// handler puts each route behind its instruments. They come after the mux,
// which sets the pattern that they take the route from. Health and metrics do
// without: nobody wants them in a latency histogram.
func handler(served routes, t *telemetry, rename func(string) string) http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range served {
		mux.Handle(rename(pattern), t.traced(t.measured(handle)))
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

// serve listens until the context ends, then lets requests in flight finish.
func serve(ctx context.Context, address string, h http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
