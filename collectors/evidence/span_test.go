package evidence

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// Sorted as by a stable sort, whatever the order before.
func TestSortSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 60 {
		spans := make([]Span, n)
		for i := range spans {
			spans[i] = Span{Trace: TraceID{byte(r.IntN(3)), 15: byte(r.IntN(2))}, ID: SpanID{byte(r.IntN(2))}, Start: int64(r.IntN(3)), End: int64(r.IntN(3)), Name: string(rune('a' + i))}
		}
		want := slices.Clone(spans)
		slices.SortStableFunc(want, CompareSpans)
		sortSpans(spans)
		if !reflect.DeepEqual(spans, want) {
			t.Fatalf("%d spans:\n got %v\nwant %v", n, spans, want)
		}
	}
}

func BenchmarkSortSpans(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	spans := make([]Span, 200_000)
	for i := range spans {
		spans[i] = Span{Trace: TraceID{byte(i / 20 >> 8), byte(i / 20), 3: byte(i / 20 >> 16)}, Start: r.Int64N(1e9)}
	}
	work := make([]Span, len(spans))
	for b.Loop() {
		copy(work, spans)
		sortSpans(work)
	}
	b.ReportMetric(float64(len(spans)*b.N)/b.Elapsed().Seconds(), "spans/s")
}
