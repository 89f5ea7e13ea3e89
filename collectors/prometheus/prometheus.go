// Package prometheus brings metrics home from anything that speaks the HTTP
// API of Prometheus. It finds out by itself what is there: which exporters and
// libraries, under which names, labels and units, and reads it as the kinds of
// evidence, in base units, under the names of services.
//
// It only reads. It never asks beyond its budget of queries, series and bytes,
// never takes an absent metric for a zero, and prints no secret.
package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Config of a collector. Zero values mean the defaults.
type Config struct {
	URL         string                  // base URL, with any prefix; its parameters go with every request: http://host/prometheus?dedup=true
	HTTP        config.HTTPClientConfig // credentials and TLS, as Prometheus itself is configured
	Headers     map[string]string       // sent with every request: X-Scope-OrgID
	SignalsDir  string                  // a user's own families, in the schema of signals/
	MaxQueries  int                     // requests of one collection; default 300
	Concurrency int                     // requests at a time; default 4
	Timeout     time.Duration           // of one request; default 30 s
	Exemplars   bool                    // look for the traces that histograms name, too
	Progress    collectors.Reporter     // may be nil
}

// Collector reads one Prometheus. Its methods may be called one at a time.
type Collector struct {
	client    *client
	catalogue *catalogue
	progress  collectors.Reporter
	now       func() time.Time
	exemplars bool
	found     found
}

var (
	_ collectors.Collector = (*Collector)(nil)
	_ collectors.Checker   = (*Collector)(nil)
)

const name = "prometheus"

// maxCollection bounds all requests of a collection together: a server that
// answers each of 300 just in time would take an hour.
const maxCollection = 3 * time.Minute

var errTooSlow = fmt.Errorf("the collection took longer than %s", maxCollection)

// New checks the settings; it asks nothing of the server.
func New(cfg Config) (*Collector, error) {
	cfg.MaxQueries = cmp.Or(cfg.MaxQueries, 300)
	cfg.Concurrency = cmp.Or(cfg.Concurrency, 4)
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	if cfg.MaxQueries < 0 || cfg.Concurrency < 0 || cfg.Timeout < 0 {
		return nil, errors.New("prometheus: the bounds of queries, concurrency and time must be positive")
	}
	signals, err := loadCatalogue(cfg.SignalsDir)
	if err != nil {
		return nil, fmt.Errorf("prometheus: read the catalogue of signals: %w", err)
	}
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Progress == nil {
		cfg.Progress = func(collectors.Event) {}
	}
	return &Collector{client: c, catalogue: signals, progress: cfg.Progress, now: time.Now, exemplars: cfg.Exemplars,
		found: found{ready: make(chan struct{})}}, nil
}

// Name of the source.
func (c *Collector) Name() string { return name }

// Provides lists the kinds of the catalogue.
func (c *Collector) Provides() []evidence.Kind { return c.catalogue.provides() }

// Collect discovers what the server has for the window and reads it. What
// could not be read is a gap; the error is for a server of no use at all.
func (c *Collector) Collect(ctx context.Context, w evidence.Window) (*evidence.Bundle, error) {
	started := c.now()
	ctx, cancel := context.WithTimeoutCause(ctx, maxCollection, errTooSlow)
	defer cancel()
	defer c.found.settle(nil)                  // whoever waits for them need not wait longer
	defer c.client.http.CloseIdleConnections() // a service makes a collector an audit: each would leave some open for minutes
	r := c.newRun(w)
	if err := r.discover(ctx); err != nil {
		return nil, err
	}
	r.read(ctx)
	if c.exemplars {
		c.found.settle(r.slowExemplars(ctx))
	}
	b := r.bundle(w)
	b.Sources[0].Seconds = c.now().Sub(started).Seconds()
	b.Sort()
	c.progress(collectors.Event{Source: name, Text: fmt.Sprintf("%d series", b.Sources[0].Items), End: true})
	return b, nil
}
