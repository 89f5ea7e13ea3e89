package traces

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// tempo is Grafana Tempo: TraceQL finds ids, then every trace is fetched.
type tempo struct {
	http    *httpStore
	builder *builder
}

func (s *tempo) Protocol() string { return "Grafana Tempo over HTTP" }
func (s *tempo) Close()           { s.http.client.CloseIdleConnections() }

func (s *tempo) Services(ctx context.Context) ([]string, error) {
	return s.values(ctx, "resource.service.name", nil)
}

func (s *tempo) values(ctx context.Context, tag string, query url.Values) ([]string, error) {
	path := "/api/v2/search/tag/" + tag + "/values"
	var answer struct {
		TagValues *[]struct{ Value string }
	}
	if err := s.http.json(ctx, path, query, &answer); err != nil {
		return nil, err
	}
	if answer.TagValues == nil {
		return nil, fmt.Errorf("get %s: %w", path, errNotThis)
	}
	var out []string
	for _, v := range *answer.TagValues {
		out = append(out, v.Value)
	}
	return out, nil
}

func (s *tempo) Operations(ctx context.Context, service string) ([]operation, error) {
	names, err := s.values(ctx, "name", url.Values{"q": {traceQL(query{service: service}, "kind = server")}})
	var out []operation
	for _, name := range names {
		out = append(out, operation{name, "server"})
	}
	return out, err
}

// traceQL asks for one span that has all of this.
func traceQL(q query, more ...string) string {
	parts := append([]string{"resource.service.name = " + strconv.Quote(q.service)}, more...)
	if q.operation != "" {
		parts = append(parts, "name = "+strconv.Quote(q.operation))
	}
	if q.slower > 0 {
		parts = append(parts, fmt.Sprintf("duration >= %dus", q.slower.Microseconds()))
	}
	return "{ " + strings.Join(parts, " && ") + " }"
}

func (s *tempo) Search(ctx context.Context, q query) ([]evidence.Span, error) {
	values := url.Values{
		"q": {traceQL(q)}, "limit": {strconv.Itoa(q.depth)}, "spss": {"1"},
		"start": {strconv.FormatInt(q.window.Start.Unix(), 10)},
		"end":   {strconv.FormatInt(q.window.End.Add(time.Second-1).Unix(), 10)}, // whole seconds
	}
	var found struct {
		Traces []struct{ TraceID string }
	}
	if err := s.http.json(ctx, "/api/search", values, &found); err != nil {
		return nil, err
	}
	var spans []evidence.Span
	for _, t := range found.Traces {
		id, err := evidence.ParseTraceID(t.TraceID) // whose leading zeros Tempo trims
		if err != nil {
			return spans, fmt.Errorf("read a trace id: %w", err)
		}
		more, err := s.Trace(ctx, id, q.window)
		if err != nil {
			return spans, err
		}
		spans = append(spans, more...)
	}
	return spans, nil
}
