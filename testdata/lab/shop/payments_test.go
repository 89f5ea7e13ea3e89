package shop

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A payment that is not answered in time is made again, as often as there are
// attempts.
func TestSilentPaymentsAreRepeated(t *testing.T) {
	var asked atomic.Int32
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) < 3 {
			<-silent
		}
	}))
	defer server.Close()
	defer close(silent)
	client := &paymentClient{client: server.Client(), url: server.URL, attempts: 2, patience: 20 * time.Millisecond}
	if err := client.pay(context.Background(), payment{}); !errors.Is(err, errUnpaid) || asked.Load() != 2 {
		t.Errorf("%v after %d attempts, want to give up after two", err, asked.Load())
	}
	client.patience = time.Minute
	if err := client.pay(context.Background(), payment{}); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d attempts, want the third answered", err, asked.Load())
	}
}
