package traces

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// jaegerV3 is Jaeger's HTTP api_v3: OTLP in JSON.
type jaegerV3 struct {
	http    *httpStore
	builder *builder
}

func (s *jaegerV3) Protocol() string { return "Jaeger api_v3 over HTTP" }
func (s *jaegerV3) Close()           { s.http.client.CloseIdleConnections() }

func (s *jaegerV3) Services(ctx context.Context) ([]string, error) {
	var answer struct{ Services *[]string }
	if err := s.http.json(ctx, "/api/v3/services", nil, &answer); err != nil {
		return nil, err
	}
	if answer.Services == nil {
		return nil, fmt.Errorf("get /api/v3/services: %w", errNotThis)
	}
	return *answer.Services, nil
}

func (s *jaegerV3) Operations(ctx context.Context, service string) ([]operation, error) {
	var answer struct {
		Operations []struct{ Name, SpanKind string }
	}
	err := s.http.json(ctx, "/api/v3/operations", url.Values{"service": {service}}, &answer)
	var out []operation
	for _, o := range answer.Operations {
		out = append(out, operation{o.Name, o.SpanKind})
	}
	return out, err
}

// Search sends every spelling that some version wants: 1.x and early 2.x know
// query.num_traces and snake case alone, later ones camel case.
func (s *jaegerV3) Search(ctx context.Context, q query) ([]evidence.Span, error) {
	values := url.Values{}
	add := func(snake, camel, value string) {
		values.Set("query."+snake, value)
		values.Set("query."+camel, value)
	}
	add("service_name", "serviceName", q.service)
	add("start_time_min", "startTimeMin", q.window.Start.UTC().Format(time.RFC3339Nano))
	add("start_time_max", "startTimeMax", q.window.End.UTC().Format(time.RFC3339Nano))
	add("search_depth", "searchDepth", strconv.Itoa(q.depth))
	values.Set("query.num_traces", strconv.Itoa(q.depth))
	if q.operation != "" {
		add("operation_name", "operationName", q.operation)
	}
	if q.slower > 0 {
		add("duration_min", "durationMin", q.slower.String())
	}
	body, err := s.http.get(ctx, "/api/v3/traces", values, "application/json")
	if isStatus(err, http.StatusNotFound) { // api_v3's way to say that nothing matched
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.builder.otlpJSON(body)
}

// jaegerV1 is the HTTP API of Jaeger up to 2.20, which VictoriaTraces,
// Quickwit and others speak as well.
type jaegerV1 struct {
	http    *httpStore
	builder *builder
}

func (s *jaegerV1) Protocol() string { return "Jaeger v1 over HTTP" }
func (s *jaegerV1) Close()           { s.http.client.CloseIdleConnections() }

func (s *jaegerV1) Services(ctx context.Context) ([]string, error) {
	var answer struct {
		Data  []string
		Total *int // every answer has it, unlike those of other servers
	}
	if err := s.http.json(ctx, "/api/services", nil, &answer); err != nil {
		return nil, err
	}
	if answer.Data == nil && answer.Total == nil {
		return nil, fmt.Errorf("get /api/services: %w", errNotThis)
	}
	return answer.Data, nil
}

func (s *jaegerV1) Operations(ctx context.Context, service string) ([]operation, error) {
	var answer struct {
		Data []struct{ Name, SpanKind string }
	}
	err := s.http.json(ctx, "/api/operations", url.Values{"service": {service}}, &answer)
	if unknownPath(err) {
		return s.names(ctx, service)
	}
	var out []operation
	for _, o := range answer.Data {
		out = append(out, operation{o.Name, o.SpanKind})
	}
	return out, err
}

// names is the older list of operations, which clones know: without kinds.
func (s *jaegerV1) names(ctx context.Context, service string) ([]operation, error) {
	var answer struct{ Data []string }
	err := s.http.json(ctx, "/api/services/"+url.PathEscape(service)+"/operations", nil, &answer)
	var out []operation
	for _, name := range answer.Data {
		out = append(out, operation{name: name})
	}
	return out, err
}

func (s *jaegerV1) Search(ctx context.Context, q query) ([]evidence.Span, error) {
	values := url.Values{
		"service": {q.service},
		"start":   {strconv.FormatInt(q.window.Start.UnixMicro(), 10)},
		"end":     {strconv.FormatInt(q.window.End.UnixMicro(), 10)},
		"limit":   {strconv.Itoa(q.depth)},
	}
	if q.operation != "" {
		values.Set("operation", q.operation)
	}
	if q.slower > 0 {
		values.Set("minDuration", q.slower.Truncate(time.Microsecond).String())
	}
	body, err := s.http.get(ctx, "/api/traces", values, "application/json")
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.builder.jaegerJSON(body)
}

// json gets a small document.
func (s *httpStore) json(ctx context.Context, path string, query url.Values, to any) error {
	body, err := s.get(ctx, path, query, "application/json")
	if err != nil {
		return err
	}
	if err := decodeJSON(body, to); err != nil {
		return fmt.Errorf("get %s: %w", path, &answerError{text: "decode the answer: " + err.Error()})
	}
	return nil
}
