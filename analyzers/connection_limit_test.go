package analyzers

import (
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A driver's pool that was refused twice: both attempts go, with the pool's own
// spans around them and the pauses after them, and nothing else does.
func TestRefusalsAreCutWithTheirPauses(t *testing.T) {
	database := evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"})
	span := func(id, parent byte, name string, from, to int64, failed bool) evidence.Span {
		s := evidence.Span{Trace: evidence.TraceID{15: 1}, ID: evidence.SpanID{7: id}, Service: "api", Name: name, Kind: evidence.KindClient, Attrs: database, Start: from * 1e6, End: to * 1e6, Error: failed}
		if parent > 0 {
			s.Parent = evidence.SpanID{7: parent}
		}
		return s
	}
	root := span(1, 0, "GET /", 0, 300, false)
	root.Kind, root.Attrs = evidence.KindServer, evidence.Attrs{}
	spans := []evidence.Span{root,
		span(2, 1, "pool.acquire", 10, 20, true), span(3, 2, "connect", 11, 19, true),
		span(4, 1, "pool.acquire", 70, 80, true), span(5, 4, "connect", 71, 79, true),
		span(6, 1, "pool.acquire", 180, 190, false), span(7, 6, "connect", 181, 189, false),
		span(8, 1, "query", 190, 280, false),
	}
	traces := BuildTraces(&evidence.Bundle{Spans: spans})
	if len(traces) != 1 {
		t.Fatalf("%d traces", len(traces))
	}
	// 10 before, 10 and 90 of the attempt that came through, 20 after
	if got := traces[0].Retime(cutRefusals(traces[0])); got < 130e6-1000 || got > 130e6 {
		t.Errorf("%d ns are left, want 130 ms", got)
	}
}

// A span that began before the mechanism was seen and waited on is laid to it
// for the time that they share.
func TestPresenceDuringASpan(t *testing.T) {
	pr := presence{times: []int64{1000, 2000, 3000, 4000}, values: []float64{0, 1, 1, 1}, full: 1}
	for _, c := range []struct {
		from, to int64
		want     float64
	}{{1000, 1500, 0}, {1000, 4000, 0.75}, {2100, 2200, 1}} {
		if got := pr.during(&evidence.Span{Start: c.from * 1e6, End: c.to * 1e6}); got != c.want {
			t.Errorf("from %d to %d: %g, want %g", c.from, c.to, got, c.want)
		}
	}
}
