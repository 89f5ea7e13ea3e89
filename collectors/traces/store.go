package traces

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// store is a trace store that can be searched, in one of its protocols.
type store interface {
	// Protocol for people: "Jaeger api_v3 over gRPC".
	Protocol() string
	Services(context.Context) ([]string, error)
	Operations(ctx context.Context, service string) ([]operation, error)
	// Search returns whole traces that have a span as the query asks, in no
	// order, and how many of them. None found is no error.
	Search(context.Context, query) ([]evidence.Span, error)
	// Trace returns the spans of one trace; none found is no error. The zero
	// window asks for any time.
	Trace(context.Context, evidence.TraceID, evidence.Window) ([]evidence.Span, error)
	Close()
}

// operation of a service, as the store spells it; kind is "" where unknown.
type operation struct{ name, kind string }

// query asks for traces in which one span has all of this.
type query struct {
	service   string
	operation string // "" for any
	window    evidence.Window
	slower    time.Duration // the span's duration at least; 0 for any
	depth     int           // traces at most, >= 1
}

// open finds out which protocol the server at the address speaks.
func open(ctx context.Context, cfg *Config, b *builder, m *meter) (store, error) {
	target, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("the address of the trace store cannot be read") // the error would quote it
	}
	switch target.Scheme {
	case "grpc", "grpcs":
		return openGRPC(ctx, target, cfg, b, m)
	case "http", "https":
		return openHTTP(ctx, target, cfg, b, m)
	}
	return nil, fmt.Errorf("the address of the trace store must begin with http://, https://, grpc:// or grpcs://, not %q", target.Scheme)
}

// openHTTP asks for the list of services in each protocol, newest first. An
// answer that is refused, or none, ends the search: only "not found" and web
// pages mean that the server does not know the protocol.
func openHTTP(ctx context.Context, target *url.URL, cfg *Config, b *builder, m *meter) (store, error) {
	client, err := config.NewClientFromConfig(cfg.HTTP, "traces")
	if err != nil {
		return nil, fmt.Errorf("prepare the HTTP client: %w", err)
	}
	h := &httpStore{base: target, client: client, headers: cfg.Headers, timeout: cfg.Timeout, meter: m}
	for _, s := range []store{&jaegerV3{h, b}, &jaegerV1{h, b}, &zipkin{h, b}, &tempo{h, b}} {
		_, err = s.Services(ctx)
		if err == nil {
			return s, nil
		}
		if !unknownPath(err) {
			client.CloseIdleConnections()
			return nil, err
		}
	}
	client.CloseIdleConnections()
	return nil, fmt.Errorf("the server speaks none of Jaeger api_v3, Jaeger v1, Zipkin v2, Tempo; the last answer: %w", err)
}

// unknownPath reports whether the server does not know what it was asked for,
// as opposed to refusing or failing it.
func unknownPath(err error) bool {
	var answer *answerError
	if !errors.As(err, &answer) {
		return errors.Is(err, errNotThis)
	}
	switch answer.code {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusBadRequest, http.StatusNotImplemented:
		return true
	}
	return answer.foreign
}

// errNotThis says that an answer is of another protocol.
var errNotThis = errors.New("the answer is of another kind")
