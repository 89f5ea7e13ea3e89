package main

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// handicap takes a witness away from a run that was recorded with all of them.
type handicap struct {
	name  string
	blind func(*evidence.Bundle)
}

// fullSight comes first; the others are applied to runs recorded with it.
var handicaps = []handicap{
	{"", func(*evidence.Bundle) {}},
	{"no traces", func(b *evidence.Bundle) { b.Spans, b.Weights = nil, nil; absent(b, "traces") }},
	{"no metrics", func(b *evidence.Bundle) {
		b.Series, b.Histograms = slices.DeleteFunc(b.Series, func(s evidence.Series) bool { return !ofPostgres(s) }), nil
		absent(b, "prometheus")
	}},
	{"no PostgreSQL", func(b *evidence.Bundle) {
		b.Series, b.Postgres = slices.DeleteFunc(b.Series, ofPostgres), nil
		absent(b, "postgres")
	}},
	{"one trace in ten", func(b *evidence.Bundle) { sampleTraces(b, 10) }},
}

// ofPostgres says whether the database or its pooler told a series, and not the
// metrics: then its query is SQL of culprit's own, or a command of the pooler.
func ofPostgres(s evidence.Series) bool {
	return strings.Contains(s.Query, "/* culprit */") || strings.HasPrefix(s.Query, "SHOW ")
}

// handicapsOf a run: all for one with full sight, none more for one that was
// recorded under a handicap.
func handicapsOf(r run) []handicap {
	if r.handicap != "" {
		return []handicap{{r.handicap, handicaps[0].blind}}
	}
	return handicaps
}

// absent makes a bundle say that a source was never asked.
func absent(b *evidence.Bundle, source string) {
	b.Sources = slices.DeleteFunc(b.Sources, func(s evidence.Source) bool { return s.Name == source })
	b.Gaps = slices.DeleteFunc(b.Gaps, func(g evidence.Gap) bool { return g.Source == source })
}

// sampleTraces keeps one trace in n by its id, as a head sampler does: each
// kept one then stands for n times as many.
func sampleTraces(b *evidence.Bundle, n uint64) {
	dropped := func(id evidence.TraceID) bool { return binary.BigEndian.Uint64(id[8:])%n != 0 }
	b.Spans = slices.DeleteFunc(b.Spans, func(s evidence.Span) bool { return dropped(s.Trace) })
	b.Weights = slices.DeleteFunc(b.Weights, func(w evidence.TraceWeight) bool { return dropped(w.Trace) })
	for i := range b.Weights {
		b.Weights[i].Weight *= float64(n)
	}
}
