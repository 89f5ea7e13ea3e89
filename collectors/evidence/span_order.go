package evidence

import (
	"bytes"
	"cmp"
	"slices"
)

// SpansSorted reports whether spans are in the order of CompareSpans.
func SpansSorted(spans []Span) bool {
	for i := 1; i < len(spans); i++ {
		if a, b := &spans[i-1], &spans[i]; a.Trace != b.Trace || a.Start >= b.Start {
			if compareSpans(a, b) > 0 {
				return false
			}
		}
	}
	return true
}

// sortSpans brings spans into the order of CompareSpans; equal ones keep
// theirs.
func sortSpans(spans []Span) {
	if !SpansSorted(spans) {
		copy(spans, SortedSpans(spans))
	}
}

// spanPlace is a span with what mostly decides its place in its trace.
type spanPlace struct {
	start int64
	span  *Span
	at    int32 // in the blocks
}

// traceRun is the spans of one trace: n of them, up to end in the list of
// places.
type traceRun struct {
	id  TraceID
	n   int32
	end int32
}

// SortedSpans is a copy of the spans of all blocks in the order of
// CompareSpans; equal ones keep theirs. Traces are few beside their spans, and
// large spans dear to move: spans are counted out to their traces, only what is
// of one trace is compared, and each span is moved once.
func SortedSpans(blocks ...[]Span) []Span {
	runs, of := traceRuns(blocks)
	places := make([]spanPlace, len(of))
	next := 0
	for _, block := range blocks {
		for i := range block {
			run := &runs[of[next]]
			places[run.end] = spanPlace{block[i].Start, &block[i], int32(next)}
			run.end++
			next++
		}
	}
	for _, run := range runs {
		sortPlaces(places[run.end-run.n : run.end])
	}
	out := make([]Span, len(places))
	for i := range places {
		out[i] = *places[i].span
	}
	return out
}

// traceRuns counts the spans of every trace, and says for each span which run
// is its trace's. The runs begin where those of lower ids end; end is where the
// run begins, so far.
func traceRuns(blocks [][]Span) (runs []traceRun, of []int32) {
	total := 0
	for _, block := range blocks {
		total += len(block)
	}
	known := map[TraceID]int32{}
	of = make([]int32, 0, total)
	last := int32(-1)
	for _, block := range blocks {
		for i := range block {
			if id := block[i].Trace; last < 0 || runs[last].id != id {
				run, seen := known[id]
				if !seen {
					run = int32(len(runs))
					known[id] = run
					runs = append(runs, traceRun{id: id})
				}
				last = run
			}
			runs[last].n++
			of = append(of, last)
		}
	}
	layOut(runs)
	return runs, of
}

// layOut gives the runs their beginnings, by id.
func layOut(runs []traceRun) {
	byID := make([]int32, len(runs))
	for i := range byID {
		byID[i] = int32(i)
	}
	slices.SortFunc(byID, func(a, b int32) int { return bytes.Compare(runs[a].id[:], runs[b].id[:]) })
	begin := int32(0)
	for _, i := range byID {
		runs[i].end = begin
		begin += runs[i].n
	}
}

// sortPlaces sorts the spans of one trace.
func sortPlaces(places []spanPlace) {
	inOrder := func(a, b spanPlace) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return cmp.Or(compareInTrace(a.span, b.span), cmp.Compare(a.at, b.at))
	}
	if !slices.IsSortedFunc(places, inOrder) {
		slices.SortFunc(places, inOrder)
	}
}
