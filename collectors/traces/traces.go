// Package traces brings home spans: from a trace store (Jaeger in its
// protocols, Zipkin, Tempo), from files, or received over OTLP while a load
// runs. It samples a store by time and by duration, bounds what it asks for and
// keeps, and stops when the server suffers. Attributes are translated to one
// set of names; literals of statements never leave it. It decodes and no more:
// repairing what instrumentation got wrong is for those who read the spans.
// It never writes to a store.
package traces

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Config of a trace source. Bounds of zero take their defaults.
type Config struct {
	URL       string                  // of a store: http(s):// or grpc(s)://
	HTTP      config.HTTPClientConfig // credentials and TLS, for gRPC as well
	Headers   map[string]string       // sent with every request: tenant, routing
	Services  []string                // search these alone; none: all
	MaxTraces int                     // default 1,500
	MaxSpans  int                     // default 150,000
	MaxBytes  int64                   // of answers; default 200 MB
	Timeout   time.Duration           // of one request; default 10 s
	Progress  collectors.Reporter

	// Exemplars are slow requests that the metrics name, as soon as they are
	// known or the context ends; nil: there are none.
	Exemplars func(context.Context) []evidence.Exemplar
}

const (
	defaultTraces  = 1_500
	defaultSpans   = 150_000
	defaultBytes   = 200 << 20
	defaultTimeout = 10 * time.Second
)

func (c *Config) setDefaults() {
	if c.MaxTraces <= 0 {
		c.MaxTraces = defaultTraces
	}
	if c.MaxSpans <= 0 {
		c.MaxSpans = defaultSpans
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultBytes
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Progress == nil {
		c.Progress = func(collectors.Event) {}
	}
}

// Collector searches a trace store.
type Collector struct{ cfg Config }

var (
	_ collectors.Collector = (*Collector)(nil)
	_ collectors.Checker   = (*Collector)(nil)
)

// New prepares to read the store at cfg.URL. It connects to nothing yet.
func New(cfg Config) (*Collector, error) {
	cfg.setDefaults()
	target, err := url.Parse(cfg.URL)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("the address of the trace store must be a URL such as http://localhost:16686 or grpc://localhost:16685")
	}
	if !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, target.Scheme) {
		return nil, fmt.Errorf("the address of the trace store must begin with http://, https://, grpc:// or grpcs://, not %q", target.Scheme)
	}
	if err := cfg.HTTP.Validate(); err != nil {
		return nil, fmt.Errorf("client settings of the trace store: %w", err)
	}
	return &Collector{cfg}, nil
}

// Name of the source.
func (c *Collector) Name() string { return "traces" }

// Provides spans.
func (c *Collector) Provides() []evidence.Kind { return []evidence.Kind{evidence.Spans} }

// Collect samples the traces of the window.
func (c *Collector) Collect(ctx context.Context, w evidence.Window) (*evidence.Bundle, error) {
	start := time.Now()
	s, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.store.Close()
	awaitLate(ctx, w)
	if err := s.run(ctx, w); err != nil {
		return nil, c.wrap(err)
	}
	b := s.bundle(w)
	b.Sources[0].Seconds = time.Since(start).Seconds()
	c.cfg.Progress(collectors.Event{Source: c.Name(), Text: evidence.Counted(len(b.Spans), "span") + " of " + evidence.Counted(s.sample.traces, "trace"), End: true})
	return b, nil
}

func (c *Collector) begin(ctx context.Context) (*search, error) {
	b, m := newBuilder(), &meter{maxBytes: c.cfg.MaxBytes}
	st, err := open(ctx, &c.cfg, b, m)
	if err != nil {
		return nil, c.wrap(err)
	}
	return newSearch(&c.cfg, st, b, m), nil
}

func (c *Collector) wrap(err error) error {
	return fmt.Errorf("traces from %s: %w", redacted(c.cfg.URL), err)
}

// redacted keeps scheme, host and path of an address.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(address that cannot be read)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Check says which protocol the store speaks and which services it knows.
func (c *Collector) Check(ctx context.Context) (collectors.Preflight, error) {
	start := time.Now()
	p := collectors.Preflight{Source: evidence.Source{Name: c.Name(), Target: redacted(c.cfg.URL), Status: evidence.StatusFailed}}
	s, err := c.begin(ctx)
	if err != nil {
		return p, err
	}
	defer s.store.Close()
	services, err := s.services(ctx)
	if err != nil {
		return p, c.wrap(err)
	}
	p.Source.Status, p.Source.Protocol = evidence.StatusOK, s.store.Protocol()
	p.Source.Requests, p.Source.Seconds = s.meter.requests, time.Since(start).Seconds()
	p.Lines = append(p.Lines, "speaks "+s.store.Protocol(), fmt.Sprintf("%d services: %s", len(services), listed(services, 10)))
	if len(services) == 0 {
		p.Source.Status = evidence.StatusPartial
		p.Gaps = append(p.Gaps, noTraces("the store knows no service"))
	}
	return p, nil
}

func noTraces(reason string) evidence.Gap {
	return evidence.Gap{Source: "traces", Kinds: []evidence.Kind{evidence.Spans}, Reason: reason,
		Remedy: "check that the services export spans to this store, that the sampling rate is above zero, and that the window covers the load"}
}
