package traces

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Trace fetches one trace by its id, in the order of a bundle; none is no
// error. A window says when the trace was, which spares stores that keep days
// in separate indexes a search through all of them; the zero window asks for
// any time.
func (c *Collector) Trace(ctx context.Context, id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
	s, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.store.Close()
	spans, err := s.store.Trace(ctx, id, w)
	if err != nil {
		return nil, c.wrap(fmt.Errorf("fetch trace %s: %w", id, err))
	}
	// A store may answer with more than it was asked for.
	spans = slices.DeleteFunc(spans, func(s evidence.Span) bool { return s.Trace != id })
	slices.SortStableFunc(spans, evidence.CompareSpans)
	c.cfg.Progress(collectors.Event{Source: c.Name(), Text: fmt.Sprintf("%d spans", len(spans)), End: true})
	return spans, nil
}

// around widens a window for a search by id: a trace begins before its slowest
// span, and late spans belong to it.
func around(w evidence.Window) evidence.Window {
	return evidence.Window{Start: w.Start.Add(-time.Minute), End: w.End.Add(time.Hour)}
}

func (s *jaegerV3) Trace(ctx context.Context, id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
	values := url.Values{}
	if !w.Start.IsZero() {
		w = around(w)
		for i, key := range []string{"start_time", "startTime", "end_time", "endTime"} { // by version, as in a search
			t := []time.Time{w.Start, w.Start, w.End, w.End}[i]
			values.Set(key, t.UTC().Format(time.RFC3339Nano))
		}
	}
	body, err := s.http.get(ctx, "/api/v3/traces/"+id.String(), values, "application/json")
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.builder.otlpJSON(body)
}

func (s *jaegerV1) Trace(ctx context.Context, id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
	values := url.Values{}
	if !w.Start.IsZero() {
		w = around(w)
		values.Set("start", strconv.FormatInt(w.Start.UnixMicro(), 10))
		values.Set("end", strconv.FormatInt(w.End.UnixMicro(), 10))
	}
	body, err := s.http.get(ctx, "/api/traces/"+id.String(), values, "application/json")
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.builder.jaegerJSON(body)
}

// Trace asks Zipkin, which keeps an id of 64 bits under 16 digits.
func (s *zipkin) Trace(ctx context.Context, id evidence.TraceID, _ evidence.Window) ([]evidence.Span, error) {
	digits := id.String()
	if [8]byte(id[:8]) == [8]byte{} {
		digits = digits[16:]
	}
	body, err := s.http.get(ctx, "/api/v2/trace/"+digits, nil, "application/json")
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.builder.zipkinJSON(body)
}

// Trace fetches one trace whole: pruning would fold the repeated spans that
// tell of an N+1 into one.
func (s *tempo) Trace(ctx context.Context, id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
	values := url.Values{"span_pruning": {"false"}}
	if !w.Start.IsZero() {
		w = around(w)
		values.Set("start", strconv.FormatInt(w.Start.Unix(), 10))
		values.Set("end", strconv.FormatInt(w.End.Unix(), 10))
	}
	body, err := s.http.get(ctx, "/api/v2/traces/"+id.String(), values, "application/protobuf")
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var spans []evidence.Span
	err = eachField(string(body), func(f wireField) error {
		if f.id == 3 && f.number == 1 { // PARTIAL: larger than the store hands out, or not all of its parts answered
			s.builder.partly()
		}
		if f.id != 1 {
			return nil
		}
		more, err := s.builder.otlpProto([]byte(f.text))
		spans = append(spans, more...)
		return err
	})
	return spans, err
}

// Trace writes GetTraceRequest: the id as hex 1, start 2 and end 3.
func (s *jaegerGRPC) Trace(ctx context.Context, id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
	var spans []evidence.Span
	request := appendWindow(appendString(nil, 1, id.String()), w)
	err := s.call(ctx, queryServiceV3+"GetTrace", request, func(message []byte) error {
		more, err := s.builder.otlpProto(message)
		spans = append(spans, more...)
		return err
	})
	return found404(spans, err)
}

// Trace writes GetTraceRequest: the id as bytes 1, start 2 and end 3.
func (s *jaegerGRPCv2) Trace(ctx context.Context, id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
	var spans []evidence.Span
	request := appendWindow(appendMessage(nil, 1, id[:]), w)
	err := s.call(ctx, queryServiceV2+"GetTrace", request, func(message []byte) error {
		more, err := s.builder.jaegerProto(message)
		spans = append(spans, more...)
		return err
	})
	return found404(spans, err)
}

func appendWindow(request []byte, w evidence.Window) []byte {
	if w.Start.IsZero() {
		return request
	}
	w = around(w)
	request = appendMessage(request, 2, appendTime(w.Start.Unix(), int64(w.Start.Nanosecond())))
	return appendMessage(request, 3, appendTime(w.End.Unix(), int64(w.End.Nanosecond())))
}
