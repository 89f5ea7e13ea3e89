package analyzers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// truncated is a loop of 20 lookups of 2.6 ms, 0.3 ms apart, in a request from
// 3.9 ms on, as OpenTelemetry for JavaScript times it: starts in whole
// milliseconds, durations finer.
func truncated() string {
	var b strings.Builder
	span := func(indent string, from, long float64, rest string) {
		fmt.Fprintf(&b, "%s%d-%.6f shop %s\n", indent, int(from), float64(int(from))+long, rest)
	}
	span("", 3.9, 59.05, "server GET /list")
	for i := range 20 {
		span("  ", 4.1+2.9*float64(i), 2.61, fmt.Sprintf("client query | db.system.name=postgresql | db.query.text=select * from items where id = ? | culprit.params=%d", i))
	}
	return b.String() + "\n"
}

// Calls that followed each other do so again, nothing moves by a millisecond or
// more, and the loop is seen for what it is.
func TestStartsInWholeMilliseconds(t *testing.T) {
	text := strings.Repeat(truncated(), 8)
	recorded := tellSpans(t, text)
	was := map[string]int64{}
	for _, s := range recorded {
		was[fmt.Sprint(s.Trace, s.ID)] = s.Start
	}
	for _, tr := range BuildTraces(&evidence.Bundle{Spans: recorded}) {
		for i := range tr.Spans {
			s := &tr.Spans[i]
			if by := s.Start - was[fmt.Sprint(s.Trace, s.ID)]; by < 0 || by >= coarseStep {
				t.Errorf("moved by %d ns", by)
			}
			if p := tr.Parent[i]; p >= 0 && (s.Start < tr.Spans[p].Start || s.End > tr.Spans[p].End) {
				t.Errorf("lies outside of its parent: %d-%d", s.Start, s.End)
			}
		}
		kids := tr.children(tr.Root)
		for k := 1; k < len(kids); k++ {
			if tr.Spans[kids[k]].Start < tr.Spans[kids[k-1]].End {
				t.Errorf("call %d begins before the one before it has ended", k)
			}
		}
	}
	if found := passOver(t, nPlusOne, text)[FindRepeatedCalls]; len(found) != 1 || found[0].Value < 19 {
		t.Errorf("found %+v", found)
	}
}

// What ran side by side for more than a millisecond stays so, and a clock that
// is fine is left alone.
func TestStartsThatAreRight(t *testing.T) {
	for name, text := range map[string]string{
		"side by side": "0-90.5 shop server GET /list\n  1-80.3 shop client a | http.request.method=GET\n  1-70.7 shop client b | http.request.method=GET\n\n",
		"a fine clock": "0.1-9.5 shop server GET /list\n  1.2-2.3 shop client a | http.request.method=GET\n  1.9-3.7 shop client b | http.request.method=GET\n\n",
	} {
		for _, tr := range BuildTraces(&evidence.Bundle{Spans: tellSpans(t, strings.Repeat(text, 20))}) {
			if len(tr.Repairs) > 0 {
				t.Errorf("%s: %v", name, tr.Repairs)
			}
		}
	}
}
