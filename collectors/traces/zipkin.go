package traces

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// zipkin is Zipkin's HTTP API v2.
type zipkin struct {
	http    *httpStore
	builder *builder
}

func (s *zipkin) Protocol() string { return "Zipkin v2 over HTTP" }
func (s *zipkin) Close()           { s.http.client.CloseIdleConnections() }

func (s *zipkin) Services(ctx context.Context) ([]string, error) {
	return s.list(ctx, "/api/v2/services", nil)
}

func (s *zipkin) list(ctx context.Context, path string, query url.Values) ([]string, error) {
	var raw rawJSON
	if err := s.http.json(ctx, path, query, &raw); err != nil {
		return nil, err
	}
	var names []string
	if decodeJSON(raw, &names) != nil {
		return nil, fmt.Errorf("get %s: %w", path, errNotThis)
	}
	return names, nil
}

func (s *zipkin) Operations(ctx context.Context, service string) ([]operation, error) {
	names, err := s.list(ctx, "/api/v2/spans", url.Values{"serviceName": {service}})
	var out []operation
	for _, name := range names {
		out = append(out, operation{name: name})
	}
	return out, err
}

func (s *zipkin) Search(ctx context.Context, q query) ([]evidence.Span, error) {
	values := url.Values{
		"serviceName": {q.service},
		"endTs":       {strconv.FormatInt(q.window.End.UnixMilli(), 10)},
		"lookback":    {strconv.FormatInt(max(q.window.Duration().Milliseconds(), 1), 10)},
		"limit":       {strconv.Itoa(q.depth)},
	}
	if q.operation != "" {
		values.Set("spanName", q.operation)
	}
	if q.slower > 0 {
		values.Set("minDuration", strconv.FormatInt(q.slower.Microseconds(), 10))
	}
	body, err := s.http.get(ctx, "/api/v2/traces", values, "application/json")
	if err != nil {
		return nil, err
	}
	return s.builder.zipkinJSON(body)
}
