package shop

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// recommender is a batch that computes the related products of all products
// anew. No customer waits for it: it shares the machine and nothing else. A
// scheduler starts it.
type recommender struct {
	all     []features
	threads int
}

// runRecommender waits for its scheduler until the context ends. What a run
// takes is nobody's latency: it has metrics of the process alone.
func runRecommender(ctx context.Context, p settings.Process) error {
	t, err := newTelemetry(ctx, p)
	if err != nil {
		return fmt.Errorf("set up telemetry of %s: %w", p.Service, err)
	}
	defer t.close()
	db, err := openPool(ctx, p, t)
	if err != nil {
		return err
	}
	all, err := loadFeatures(ctx, db)
	db.Close()
	if err != nil {
		return err
	}
	r := &recommender{all: all, threads: p.Choices.Threads}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /runs", r.run)
	return serve(ctx, p.Listen, mux)
}

// run works for the time asked for, on all threads, and then answers.
func (r *recommender) run(w http.ResponseWriter, request *http.Request) {
	length, err := time.ParseDuration(request.URL.Query().Get("for"))
	if err != nil {
		fail(w, badRequest{err})
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), length)
	defer cancel()
	var threads sync.WaitGroup
	for n := range r.threads {
		threads.Go(func() { r.recommend(ctx, n*len(r.all)/r.threads) })
	}
	threads.Wait()
	w.WriteHeader(http.StatusNoContent)
}

// recommend from one product on until the context ends.
func (r *recommender) recommend(ctx context.Context, from int) {
	for n := from; ctx.Err() == nil; n++ {
		rankByPass(r.all, r.all[n%len(r.all)].id)
	}
}
