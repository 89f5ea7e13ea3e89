package shop

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// gateway is the edge: it forwards each route to the service that owns it.
type gateway struct {
	client *http.Client
}

func newGateway(p settings.Process, t *telemetry) (routes, func(), error) {
	g := &gateway{client: t.client()}
	catalog, orders := g.forward(p.Replicas("catalog")), g.forward(p.Replicas("orders"))
	return routes{
		"GET /products":      catalog,
		"GET /products/{id}": catalog,
		"GET /products/best": catalog,
		"GET /orders":        orders,
		"POST /orders":       orders,
		"POST /events":       orders,
		"GET /quotes":        orders,
		"GET /summary":       orders,
	}, func() {}, nil
}

// forward passes the request on, path and query unchanged, to the replicas of
// a service in turn.
func (g *gateway) forward(replicas []string) http.HandlerFunc {
	var turn atomic.Uint64
	return func(w http.ResponseWriter, r *http.Request) {
		base := replicas[turn.Add(1)%uint64(len(replicas))]
		out, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.RequestURI(), r.Body)
		if err != nil {
			fail(w, err)
			return
		}
		out.ContentLength = r.ContentLength
		out.Header.Set("Content-Type", r.Header.Get("Content-Type"))
		out.Header.Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		response, err := g.client.Do(out)
		if err != nil {
			fail(w, err)
			return
		}
		defer response.Body.Close()
		w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body) // the client went away: there is nobody to tell
	}
}

// answer writes v as JSON, or the error as a status.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // as above
}

// badRequest marks an error as the caller's.
type badRequest struct{ error }

func fail(w http.ResponseWriter, err error) {
	if errors.As(err, &badRequest{}) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
