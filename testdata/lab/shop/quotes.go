package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// quote is what a carrier asks for a delivery.
type quote struct {
	Carrier string `json:"carrier"`
	Cents   int64  `json:"cents"`
}

// carriers that deliver for the shop.
var carriers = []string{"north-post", "swift", "green-van", "parcel-house"}

// quotes answers with what each carrier asks. None of them needs the answer of
// another, so that all can be asked at once.
func (o *orders) quotes(w http.ResponseWriter, r *http.Request) {
	found, failed := make([]quote, len(carriers)), make([]error, len(carriers))
	var asked sync.WaitGroup
	for i, carrier := range carriers {
		ask := func() { found[i], failed[i] = o.quoteOf(r.Context(), carrier) }
		if o.choices.Quoting == settings.QuotesInTurn {
			ask()
			continue
		}
		asked.Go(ask)
	}
	asked.Wait()
	answer(w, found, errors.Join(failed...))
}

func (o *orders) quoteOf(ctx context.Context, carrier string) (q quote, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.partner+"/carriers/"+carrier+"/quote", nil)
	if err != nil {
		return q, fmt.Errorf("create request for a quote: %w", err)
	}
	response, err := o.client.Do(request)
	if err != nil {
		return q, fmt.Errorf("ask %s for a quote: %w", carrier, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return q, statusError{from: carrier, code: response.StatusCode}
	}
	if err := json.NewDecoder(response.Body).Decode(&q); err != nil {
		return q, fmt.Errorf("decode quote of %s: %w", carrier, err)
	}
	return q, nil
}
