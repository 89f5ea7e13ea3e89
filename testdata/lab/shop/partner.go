package shop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// partner is a company outside of the shop: a card network that authorizes
// payments, carriers that quote deliveries. The shop sees it from outside
// alone: it leaves no spans and no metrics, and its habits are not the shop's
// to change.
type partner struct {
	habits settings.Habits
	open   time.Time
	answer time.Duration // that a card takes
}

// quoteTime is how long the quickest and the slowest answer of a carrier take.
const quoteTimeLow, quoteTimeHigh = 18 * time.Millisecond, 38 * time.Millisecond

// errRefused is what a partner says that cannot serve now.
var errRefused = errors.New("try again later")

// runPartner serves without instruments until the context ends.
func runPartner(ctx context.Context, p settings.Process) error {
	it := &partner{habits: p.Choices.Partner, answer: p.Choices.Authorization, open: time.Now()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /authorize", it.authorize)
	mux.HandleFunc("GET /carriers/{carrier}/quote", it.quote)
	return serve(ctx, p.Listen, mux)
}

// authorize a card, after its usual time and whatever its habits add.
func (p *partner) authorize(w http.ResponseWriter, r *http.Request) {
	took := p.answer
	if rand.Float64() < p.habits.Hangs {
		took = p.habits.HangTime
	}
	if !pause(r.Context(), took) || !pause(r.Context(), p.stalled(time.Since(p.open))) {
		return
	}
	if rand.Float64() < p.habits.Refuses {
		http.Error(w, errRefused.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(w, map[string]string{"status": "authorized"}, nil)
}

// stalled is how long a partner that now and then stands still answers nobody
// from now on.
func (p *partner) stalled(since time.Duration) time.Duration {
	if p.habits.StallEvery == 0 {
		return 0
	}
	return max(0, p.habits.StallTime-since%p.habits.StallEvery)
}

// quote a delivery.
func (p *partner) quote(w http.ResponseWriter, r *http.Request) {
	if !pause(r.Context(), quoteTimeLow+rand.N(quoteTimeHigh-quoteTimeLow)) {
		return
	}
	answer(w, quote{Carrier: r.PathValue("carrier"), Cents: 400 + rand.Int64N(900)}, nil)
}

// pause waits, and reports whether anybody still waits for the answer.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// statusError is an answer that is not the one hoped for.
type statusError struct {
	from  string
	code  int
	after time.Duration // when to ask again; 0: not said
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.from, e.code, http.StatusText(e.code))
}
