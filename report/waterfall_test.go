package report

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// drawn is a waterfall in words: depth, times and name of each line.
func drawn(spans []evidence.Span) string {
	t := Trace{ID: "01"}
	t.draw(analyzers.BuildTraces(&evidence.Bundle{Spans: spans})[0])
	var b strings.Builder
	for _, s := range t.Spans {
		fmt.Fprintf(&b, "%s%dx%s ", strings.Repeat(">", s.Depth), max(s.Times, 1), s.Name)
	}
	if t.LeftOut > 0 {
		fmt.Fprintf(&b, "+%d", t.LeftOut)
	}
	return strings.TrimSpace(b.String())
}

func spansOf(names ...string) []evidence.Span {
	id, _ := evidence.ParseTraceID("01")
	spans := []evidence.Span{{Trace: id, ID: evidence.SpanID{7: 1}, Name: "root", Start: 1, End: 1e9}}
	for i, n := range names {
		spans = append(spans, evidence.Span{Trace: id, ID: evidence.SpanID{6: 1, 7: byte(i)}, Parent: evidence.SpanID{7: 1}, Name: n, Start: int64(10 * (i + 1)), End: int64(10*(i+1) + 5)})
	}
	return spans
}

func TestWaterfallFoldsWhatRepeats(t *testing.T) {
	for _, c := range []struct{ name, calls, want string }{
		{"twice is not again and again", "a a", "1xroot >1xa >1xa"},
		{"one call", "a a a a", "1xroot >4xa"},
		{"two in turn", "w a s a s a s b", "1xroot >1xw >3xa >3xs >1xb"},
		{"the longer run wins", "a a a b a a a b a a a b", "1xroot >3xa >3xa >3xa >3xb"},
		{"nothing", "a b c d", "1xroot >1xa >1xb >1xc >1xd"},
	} {
		if got := drawn(spansOf(strings.Fields(c.calls)...)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// The critical path is what the request waited for: the call that ends last,
// and not the one beside it. Its lengths sum to the trace's.
func TestWaterfallMarksTheCriticalPath(t *testing.T) {
	spans := spansOf("a", "b")
	spans[0].Start, spans[0].End = 0, 1e9
	spans[1].Start, spans[1].End = 0.1e9, 0.3e9
	spans[2].Start, spans[2].End = 0.1e9, 0.8e9
	trace := Trace{ID: "01"}
	trace.draw(analyzers.BuildTraces(&evidence.Bundle{Spans: spans})[0])
	var got []string
	sum := 0.0
	for _, s := range trace.Spans {
		got = append(got, fmt.Sprint(s.Name, s.Path))
		sum += s.Held
	}
	if s := strings.Join(got, " "); s != "root[0 0.1 0.8 1] b[0.1 0.8] a[]" || math.Abs(sum-trace.Seconds) > 1e-9 {
		t.Errorf("%s, in all %g of %g s", s, sum, trace.Seconds)
	}
}

// A trace with a cycle, an orphan or too many spans is drawn as far as it goes.
func TestWaterfallOfABrokenTrace(t *testing.T) {
	spans := spansOf("a", "b")
	spans[1].Parent, spans[2].Parent = spans[2].ID, spans[1].ID
	if got := drawn(spans); got != "1xroot 1xa >1xb" {
		t.Errorf("cycle: %s", got)
	}
	spans = spansOf("a")
	spans[1].Parent = evidence.SpanID{1}
	if got := drawn(spans); got != "1xroot 1xa" {
		t.Errorf("orphan: %s", got)
	}
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("call", i)
	}
	if got := drawn(spansOf(names...)); !strings.HasSuffix(got, "+61") {
		t.Errorf("long: %s", got)
	}
}
