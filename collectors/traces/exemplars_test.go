package traces

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// The slow traces that the metrics name are fetched from a real store by their
// ids, and weigh as slow ones do; what is fast, or gone, is left.
func TestJaegerExemplars(t *testing.T) {
	jaeger := startJaeger(t)
	s := newShop(t, otlpTo(t, jaeger.otlp))
	start := time.Now().Add(-2 * time.Minute).Truncate(time.Microsecond)
	for i := range uint64(800) {
		length := 50 * time.Millisecond
		if mix(i+1)%4 == 0 { // no rhythm with the slices
			length = time.Second
		}
		s.request(start.Add(time.Duration(i)*50*time.Millisecond), length, 1)
		if i%200 == 199 { // the SDK drops what its queue cannot hold
			flush(t, s)
		}
	}
	s.flush(t)
	w := evidence.Window{Start: start, End: start.Add(time.Minute)}
	time.Sleep(time.Second) // Jaeger batches
	var named []evidence.Exemplar
	for i, r := range rootsOf(collect(t, Config{URL: "http://" + jaeger.http}, w)) {
		if slow := r.Duration() == int64(time.Second); slow && i%3 == 0 || !slow && i%20 == 0 {
			named = append(named, evidence.Exemplar{Trace: r.Trace, Value: float64(r.Duration()) / 1e9, At: r.End / 1e6})
		}
	}
	named = append(named, evidence.Exemplar{Trace: evidence.TraceID{0xee}, Value: 1, At: start.UnixMilli()})
	for _, url := range []string{"http://" + jaeger.http, "grpc://" + jaeger.grpc} {
		b := collect(t, Config{URL: url, MaxTraces: 200, Exemplars: func(context.Context) []evidence.Exemplar { return named }}, w)
		checkExemplars(t, b, named)
	}
}

func checkExemplars(t *testing.T, b *evidence.Bundle, named []evidence.Exemplar) {
	t.Helper()
	weights := map[evidence.TraceID]evidence.TraceWeight{}
	slow, all := 0.0, 0.0
	for _, tw := range b.Weights {
		weights[tw.Trace] = tw
	}
	for _, r := range rootsOf(b) {
		all += weights[r.Trace].Weight
		if r.Duration() == int64(time.Second) {
			slow += weights[r.Trace].Weight
		}
	}
	if share := slow / all; share < 0.12 || share > 0.4 {
		t.Errorf("%.3f of the weight is slow, of the requests 0.25", share)
	}
	for _, x := range named {
		if tw, taken := weights[x.Trace]; x.Value == 1 && x.Trace[0] != 0xee && (!taken || tw.Stratum != "tail") {
			t.Errorf("%v is missing: %+v", x.Trace, tw)
		}
	}
	if !slices.ContainsFunc(b.Sources[0].Notes, func(n string) bool { return strings.Contains(n, "from the exemplars of the metrics") }) || len(b.Gaps) > 0 {
		t.Errorf("%q %+v", b.Sources[0].Notes, b.Gaps)
	}
}

func rootsOf(b *evidence.Bundle) (roots []evidence.Span) {
	for _, s := range b.Spans {
		if s.Parent.IsZero() {
			roots = append(roots, s)
		}
	}
	return roots
}
