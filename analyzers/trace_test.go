package analyzers

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// tell reads traces written as an indented list, times in ms:
//
//	0-100 gateway server GET /orders
//	  10-20 orders client lookup | db.system.name=postgresql | error
//
// A blank line begins the next trace. Kinds are OpenTelemetry's, and
// "follows" after a kind says the parent does not wait.
func tell(t testing.TB, text string) []*Trace {
	t.Helper()
	return BuildTraces(&evidence.Bundle{Spans: tellSpans(t, text)})
}

func tellOne(t testing.TB, text string) *Trace {
	t.Helper()
	traces := tell(t, text)
	if len(traces) != 1 {
		t.Fatalf("told %d traces, want 1", len(traces))
	}
	return traces[0]
}

func tellSpans(t testing.TB, text string) []evidence.Span {
	t.Helper()
	var spans []evidence.Span
	var above []evidence.SpanID
	trace, id := uint64(1), uint64(0)
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			if len(spans) > 0 {
				trace++
			}
			continue
		}
		s := tellSpan(t, line)
		id++
		s.ID = testSpanID(id)
		binary.BigEndian.PutUint64(s.Trace[8:], trace)
		depth := len(strings.ReplaceAll(line[:len(line)-len(strings.TrimLeft(line, "\t "))], "\t", "")) / 2
		above = append(above[:depth], s.ID)
		if depth > 0 {
			s.Parent = above[depth-1]
		}
		spans = append(spans, s)
	}
	return spans
}

func testSpanID(n uint64) (id evidence.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

func tellSpan(t testing.TB, line string) evidence.Span {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(line), " | ")
	var s evidence.Span
	var lo, hi float64
	var kind string
	if _, err := fmt.Sscanf(parts[0], "%g-%g %s %s", &lo, &hi, &s.Service, &kind); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	s.Name = strings.Join(strings.Fields(parts[0])[3:], " ")
	s.Start, s.End = int64(lo*1e6), int64(hi*1e6)
	kinds := []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
	at := slices.Index(kinds, kind)
	if at < 0 {
		t.Fatalf("line %q: kind %q", line, kind)
	}
	s.Kind = evidence.SpanKind(at)
	for _, a := range parts[1:] {
		switch k, v, _ := strings.Cut(a, "="); k {
		case "error":
			s.Error = true
		case "follows":
			s.Follows = true
		case "instance":
			s.Instance = v
		default:
			s.Attrs = s.Attrs.With(k, v)
		}
	}
	return s
}

func TestOperationOf(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"0-1 a server GET /orders/{id}", "GET /orders/{id}"},
		{"0-1 a server GET | http.request.method=GET | http.route=/orders/{id}", "GET /orders/{id}"},
		{"0-1 a server GET | http.request.method=GET", "GET"},
		{"0-1 a server handle | http.route=/x", "handle"},
		{"0-1 a server reserve stock", "reserve stock"},
	} {
		s := tellSpan(t, c.line)
		if got := OperationOf(&s); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
}

func TestBuildTracesRepairs(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]evidence.Span) []evidence.Span
		spans  int
		repair string
	}{
		"clean":       {func(s []evidence.Span) []evidence.Span { return s }, 4, ""},
		"repeated":    {func(s []evidence.Span) []evidence.Span { return append(s, s[2]) }, 4, "1 span recorded twice"},
		"early copy":  {func(s []evidence.Span) []evidence.Span { c := s[2]; c.End -= 5e6; return append(s, c) }, 4, "1 span recorded twice"},
		"orphan":      {func(s []evidence.Span) []evidence.Span { return slices.Delete(s, 1, 2) }, 3, "1 span with a parent that is missing"},
		"two roots":   {func(s []evidence.Span) []evidence.Span { s[2].Parent = evidence.SpanID{}; return s }, 4, "1 span without a parent beside the root"},
		"itself":      {func(s []evidence.Span) []evidence.Span { s[3].Parent = s[3].ID; return s }, 4, "1 span named as their own parent"},
		"ring":        {func(s []evidence.Span) []evidence.Span { s[2].Parent = s[3].ID; s[3].Parent = s[2].ID; return s }, 4, "1 span closing a ring"},
		"whole ring":  {func(s []evidence.Span) []evidence.Span { s[0].Parent = s[3].ID; return s }, 4, "1 span closing a ring"},
		"never ended": {func(s []evidence.Span) []evidence.Span { s[2].End = 0; return s }, 4, "1 span never ended"},
		"shared id": {func(s []evidence.Span) []evidence.Span {
			s[2].ID, s[2].Parent, s[3].Parent = s[1].ID, s[0].ID, s[1].ID
			return s
		}, 4, "1 span with the id of their client"},
	} {
		t.Run(name, func(t *testing.T) {
			spans := c.change(tellSpans(t, `
0-100 gateway server GET /a
  10-90 gateway client GET
    20-80 orders server GET /a
      30-70 orders client SELECT`))
			slices.Reverse(spans)
			traces := BuildTraces(&evidence.Bundle{Spans: spans})
			if len(traces) != 1 || len(traces[0].Spans) != c.spans {
				t.Fatalf("traces %d, want 1 with %d spans", len(traces), c.spans)
			}
			tr := traces[0]
			if got := strings.Join(tr.Repairs, "; "); !strings.Contains(got, c.repair) || c.repair == "" && got != "" {
				t.Errorf("repairs %q, want %q", got, c.repair)
			}
			if len(tr.order) != len(tr.Spans) || tr.Spans[tr.Root].Service == "" {
				t.Errorf("order has %d of %d spans", len(tr.order), len(tr.Spans))
			}
			if tr.Entity() != (evidence.Entity{Service: "gateway", Operation: "GET /a"}) {
				t.Errorf("root is %v", tr.Entity())
			}
			checkPartition(t, tr, tr.Root)
		})
	}
}

// A span that shares its caller's id goes under it, and takes along the
// children of its own service.
func TestSharedIDsKeepTheTree(t *testing.T) {
	spans := tellSpans(t, `
0-100 gateway server GET /a
  10-90 gateway client GET
    20-80 orders server GET /a
      30-70 orders client SELECT`)
	spans[2].ID, spans[2].Parent, spans[3].Parent = spans[1].ID, spans[0].ID, spans[1].ID
	tr := BuildTraces(&evidence.Bundle{Spans: spans})[0]
	if want := []int32{-1, 0, 1, 2}; !slices.Equal(tr.Parent, want) {
		t.Errorf("parents %v, want %v", tr.Parent, want)
	}
}

func TestUnfinishedSpanEndsWithItsLastChild(t *testing.T) {
	spans := tellSpans(t, `
0-100 gateway server GET /a
  10-0 gateway internal work
    20-60 gateway client SELECT
    20-80 gateway client notify | follows`)
	tr := BuildTraces(&evidence.Bundle{Spans: spans})[0]
	if got := tr.Spans[1].End; got != 60e6 {
		t.Errorf("end %d, want that of the last child waited for", got)
	}
	if spans[1].End != 0 {
		t.Error("the bundle's span was changed")
	}
}

func TestClocksOfHostsAreAligned(t *testing.T) {
	const two = `
0-100 gateway server GET /a | host.name=h1
  10-90 gateway client GET | host.name=h1
    520-580 orders server GET /a | host.name=h2
      530-570 orders client SELECT | host.name=h2

0-100 gateway server GET /a | host.name=h1
  10-90 gateway client GET | host.name=h1
    512-575 orders server GET /a | host.name=h2`
	traces := tell(t, two)
	// The calls confine the offset to [490, 502] ms.
	if got := traces[0].Spans[2].Start; got != 520e6-496e6 {
		t.Errorf("server starts at %d ns", got)
	}
	if got := traces[0].Spans[3].Start; got != 530e6-496e6 {
		t.Errorf("its child starts at %d ns: it was timed by the same clock", got)
	}
	if len(traces[0].Repairs) != 1 || !strings.Contains(traces[0].Repairs[0], "2 spans timed by clocks that disagree, shifted by up to 496ms") {
		t.Errorf("repairs %q", traces[0].Repairs)
	}
}

func TestRepairsOfManyTraces(t *testing.T) {
	spans := tellSpans(t, "0-9 a server r\n  1-2 a client x\n  3-4 a client y\n\n0-9 a server r\n  1-2 a client x\n\n0-9 a server r")
	spans = append(spans, spans[1], spans[2], spans[4])
	spans[2].Parent = testSpanID(99)
	got := strings.Join(RepairsOf(BuildTraces(&evidence.Bundle{Spans: spans})), "; ")
	want := "in 2 of 3 traces: 3 spans recorded twice, one of each dropped; in 1 of 3 traces: 1 span with a parent that is missing, kept apart"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestClocksThatAgreeAreLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"inside":       "0-100 a client GET | host.name=h1\n  10-90 b server GET /a | host.name=h2",
		"gave up":      "0-100 a client GET | host.name=h1\n  10-300 b server GET /a | host.name=h2",
		"late to end":  "0-100 a client GET | host.name=h1\n  50-100.3 b server GET /a | host.name=h2",
		"same host":    "0-100 a client GET | host.name=h1\n  50-110 b server GET /a | host.name=h1",
		"sent message": "0-100 a producer send | host.name=h1\n  500-510 b consumer receive | host.name=h2",
	} {
		if tr := tellOne(t, text); len(tr.Repairs) > 0 {
			t.Errorf("%s: %q", name, tr.Repairs)
		}
	}
}

func TestTraceBeyondTheBound(t *testing.T) {
	if testing.Short() {
		t.Skip("a million spans")
	}
	spans := make([]evidence.Span, maxTraceSpans+5)
	for i := range spans {
		spans[i] = evidence.Span{ID: testSpanID(uint64(i + 1)), Start: int64(i), End: int64(len(spans))}
		if i > 0 {
			spans[i].Parent = spans[0].ID
		}
	}
	tr := BuildTraces(&evidence.Bundle{Spans: spans})[0]
	if len(tr.Spans) != maxTraceSpans || !strings.Contains(tr.Repairs[0], "5 spans beyond the bound") {
		t.Errorf("%d spans, repairs %q", len(tr.Spans), tr.Repairs)
	}
}
