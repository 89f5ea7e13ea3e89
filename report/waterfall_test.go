package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// drawn is a waterfall in words: depth, times and name of each line.
func drawn(spans []evidence.Span) string {
	t := Trace{ID: "01"}
	t.draw(&evidence.Bundle{Spans: spans})
	var b strings.Builder
	for _, s := range t.Spans {
		fmt.Fprintf(&b, "%s%dx%s ", strings.Repeat(">", s.Depth), max(s.Times, 1), s.Name)
	}
	if t.LeftOut > 0 {
		fmt.Fprintf(&b, "+%d", t.LeftOut)
	}
	return strings.TrimSpace(b.String())
}

func traceOf(names ...string) []evidence.Span {
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
		if got := drawn(traceOf(strings.Fields(c.calls)...)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A trace with a cycle, an orphan or too many spans is drawn as far as it goes.
func TestWaterfallOfABrokenTrace(t *testing.T) {
	spans := traceOf("a", "b")
	spans[1].Parent, spans[2].Parent = spans[2].ID, spans[1].ID
	if got := drawn(spans); got != "1xroot +2" {
		t.Errorf("cycle: %s", got)
	}
	spans = traceOf("a")
	spans[1].Parent = evidence.SpanID{1}
	if got := drawn(spans); got != "1xroot 1xa" {
		t.Errorf("orphan: %s", got)
	}
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("call", i)
	}
	if got := drawn(traceOf(names...)); !strings.HasSuffix(got, "+61") {
		t.Errorf("long: %s", got)
	}
}
