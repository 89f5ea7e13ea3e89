package analyzers

import (
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A hundred usual requests and as many slow ones, which the sample holds for
// one in a hundred: where nobody counted, the weights tell that the p95 is the
// usual one.
func TestSampledPercentilesAreWeighed(t *testing.T) {
	start := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)}}
	for i := range 200 {
		id, lasts, weight := evidence.TraceID{1, byte(i)}, 10*time.Millisecond, 1.98
		if i%2 == 1 {
			lasts, weight = 2*time.Second, 0.02
		}
		at := start.Add(time.Duration(i) * 250 * time.Millisecond)
		b.Spans = append(b.Spans, evidence.Span{Trace: id, ID: evidence.SpanID{byte(i)}, Kind: evidence.KindServer, Service: "api", Name: "GET /a",
			Start: at.UnixNano(), End: at.Add(lasts).UnixNano()})
		b.Weights = append(b.Weights, evidence.TraceWeight{Trace: id, Weight: weight})
	}
	b.Sort()
	s := factsOf(b).Symptoms[0]
	if s.Slow || s.P95 != 0.01 || s.Requests != 200 {
		t.Errorf("slow %v, p95 %.3f s of %.0f", s.Slow, s.P95, s.Requests)
	}
	b.Weights = nil
	if s = factsOf(b).Symptoms[0]; !s.Slow {
		t.Error("without weights half of them are slow")
	}
}
