package analyzers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// checkPartition holds a path to its promise: contiguous, in order, from the
// span's start to its end.
func checkPartition(t testing.TB, tr *Trace, span int32) {
	t.Helper()
	s := &tr.Spans[span]
	at, sum := s.Start, int64(0)
	for _, g := range tr.PathOf(span) {
		if g.Start != at || g.End <= g.Start {
			t.Fatalf("segment [%d,%d) after %d", g.Start, g.End, at)
		}
		at, sum = g.End, sum+g.End-g.Start
	}
	if sum != max(s.Duration(), 0) {
		t.Fatalf("segments sum to %d of %d ns", sum, s.Duration())
	}
}

// oraclePath is the definition, word for word and quadratic: at every step it
// looks at all spans of the trace for the one that was waited for last.
func oraclePath(tr *Trace, span int32, lo, hi int64) []Segment {
	var path []Segment // latest first
	taken := map[int32]bool{}
	for at := hi; at > lo; {
		best, bestLo, bestHi := none, int64(0), int64(0)
		for i := range tr.Spans {
			c := &tr.Spans[i]
			if tr.Parent[i] != span || taken[int32(i)] || !oracleWaits(tr, int32(i)) {
				continue
			}
			clo, chi := max(c.Start, lo), min(c.End, hi)
			if chi <= clo || clo >= at || chi > at+2000 {
				continue
			}
			if best < 0 || chi > bestHi || chi == bestHi && clo > bestLo {
				best, bestLo, bestHi = int32(i), clo, chi
			}
		}
		if best < 0 {
			return append(path, Segment{span, lo, at})
		}
		taken[best] = true
		end := min(bestHi, at)
		if end < at {
			path = append(path, Segment{span, end, at})
		}
		path = append(path, oraclePath(tr, best, bestLo, end)...)
		at = bestLo
	}
	return path
}

func oracleWaits(tr *Trace, i int32) bool {
	if tr.Spans[i].Follows {
		return false
	}
	sent := tr.Parent[i] >= 0 && tr.Spans[tr.Parent[i]].Kind == evidence.KindProducer
	return !(sent && tr.Spans[i].Kind == evidence.KindConsumer)
}

// randomSpans makes a trace with everything that occurs: children outside
// their parents, asynchronous ones, equal times, empty spans, orphans.
func randomSpans(r *rand.Rand, n int, grain int64) []evidence.Span {
	spans := make([]evidence.Span, n)
	for i := range spans {
		s := &spans[i]
		s.ID = testSpanID(uint64(i + 1))
		s.Service = string(rune('a' + r.IntN(4)))
		s.Kind = evidence.SpanKind(r.IntN(6))
		s.Follows = r.IntN(12) == 0
		if i == 0 {
			s.Start, s.End = 0, 100*grain
			continue
		}
		p := &spans[r.IntN(i)]
		s.Parent = p.ID
		if r.IntN(40) == 0 {
			s.Parent = testSpanID(1 << 40)
		}
		span := max(p.Duration(), grain)
		s.Start = (p.Start + r.Int64N(span+span/4+1) - span/8) / grain * grain
		s.End = s.Start + r.Int64N(span)/grain*grain
	}
	return spans
}

func TestCriticalPathIsTheOracles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 10_000 {
		grain := []int64{1, 997, 1_000, 1_000_000}[n%4]
		tr := BuildTraces(&evidence.Bundle{Spans: randomSpans(r, 1+r.IntN(40), grain)})[0]
		root := &tr.Spans[tr.Root]
		want := oraclePath(tr, tr.Root, root.Start, root.End)
		slices.Reverse(want)
		if got := tr.CriticalPath(); !slices.Equal(got, want) {
			t.Fatalf("trace %d of %d spans:\n got %v\nwant %v", n, len(tr.Spans), got, want)
		}
		checkPartition(t, tr, tr.Root)
	}
}

// Times since 1970 in ns need 61 bits: more than a float64 holds.
func TestCriticalPathAtTheTimesThatAre(t *testing.T) {
	const epoch = 1_795_000_000_000_000_001
	spans := randomSpans(rand.New(rand.NewPCG(21, 22)), 200, 997)
	before := BuildTraces(&evidence.Bundle{Spans: slices.Clone(spans)})[0].CriticalPath()
	for i := range spans {
		spans[i].Start, spans[i].End = spans[i].Start+epoch, spans[i].End+epoch
	}
	for k, g := range BuildTraces(&evidence.Bundle{Spans: spans})[0].CriticalPath() {
		if g.Start != before[k].Start+epoch || g.End != before[k].End+epoch {
			t.Fatalf("segment %d is [%d,%d)", k, g.Start, g.End)
		}
	}
}

// path writes a path as "name from-to" in ms.
func path(tr *Trace) string {
	var b strings.Builder
	for _, g := range tr.CriticalPath() {
		fmt.Fprintf(&b, "%s %g-%g, ", tr.Spans[g.Span].Name, float64(g.Start)/1e6, float64(g.End)/1e6)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

func TestCriticalPathOnEdges(t *testing.T) {
	for name, c := range map[string]struct{ trace, want string }{
		"alone":          {"5-9 a server r", "r 5-9"},
		"one child":      {"0-10 a server r\n  2-8 a client x", "r 0-2, x 2-8, r 8-10"},
		"in series":      {"0-10 a server r\n  1-4 a client x\n  5-9 a client y", "r 0-1, x 1-4, r 4-5, y 5-9, r 9-10"},
		"touching":       {"0-10 a server r\n  0-5 a client x\n  5-10 a client y", "x 0-5, y 5-10"},
		"parallel":       {"0-10 a server r\n  1-9 a client x\n  1-5 a client y", "r 0-1, x 1-9, r 9-10"},
		"staircase":      {"0-10 a server r\n  0-6 a client x\n  4-10 a client y", "r 0-4, y 4-10"},
		"rounded":        {"0-10 a server r\n  0-5.001 a client x\n  5-10 a client y", "x 0-5, y 5-10"},
		"equal ends":     {"0-10 a server r\n  1-9 a client x\n  3-9 a client y", "r 0-3, y 3-9, r 9-10"},
		"equal spans":    {"0-10 a server r\n  1-9 a client x\n  1-9 a client y", "r 0-1, x 1-9, r 9-10"},
		"empty child":    {"0-10 a server r\n  5-5 a client x", "r 0-10"},
		"outlives":       {"0-10 a server r\n  5-15 a client x", "r 0-5, x 5-10"},
		"begins before":  {"5-10 a server r\n  0-8 a client x", "x 5-8, r 8-10"},
		"covers":         {"5-10 a server r\n  0-15 a client x", "x 5-10"},
		"after the end":  {"0-10 a server r\n  12-15 a client x", "r 0-10"},
		"follows":        {"0-10 a server r\n  2-8 a client x | follows", "r 0-10"},
		"message":        {"0-10 a server r\n  2-3 a producer send\n    3-9 b consumer take", "r 0-2, send 2-3, r 3-10"},
		"awaited":        {"0-10 a server r\n  2-9 a client ask\n    3-8 b consumer take", "r 0-2, ask 2-3, take 3-8, ask 8-9, r 9-10"},
		"grandchild cut": {"0-10 a server r\n  2-8 a internal x\n    3-12 a client y", "r 0-2, x 2-3, y 3-8, r 8-10"},
		"two services": {"0-10 a server r\n  1-9 a client c\n    2-8 b server s\n      3-7 b client q",
			"r 0-1, c 1-2, s 2-3, q 3-7, s 7-8, c 8-9, r 9-10"},
		"root at time 0 with a negative child": {"0-10 a server r\n  -5--1 a client x", "r 0-10"},
	} {
		tr := tellOne(t, c.trace)
		if got := path(tr); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		checkPartition(t, tr, tr.Root)
	}
}

func TestCriticalPathOfAnEmptyRoot(t *testing.T) {
	if got := tellOne(t, "5-5 a server r\n  5-6 a client x").CriticalPath(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// nestedSpans makes a trace in which the children of a span share its time
// out in a row.
func nestedSpans(n int, parent func(i int) int) []evidence.Span {
	spans, count, seen := make([]evidence.Span, n), make([]int64, n), make([]int64, n)
	for i := 1; i < n; i++ {
		count[parent(i)]++
	}
	for i := range spans {
		s := &spans[i]
		s.ID = testSpanID(uint64(i + 1))
		s.Service, s.Name = "a", "work"
		if i == 0 {
			s.Start, s.End = 0, 1<<50
			continue
		}
		p := parent(i)
		slot := spans[p].Duration() / (count[p] + 1)
		s.Parent = spans[p].ID
		s.Start = spans[p].Start + seen[p]*slot
		s.End = s.Start + slot - slot/8
		seen[p]++
	}
	return spans
}

func BenchmarkCriticalPath(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("spans=%d", n), func(b *testing.B) {
			tr := BuildTraces(&evidence.Bundle{Spans: nestedSpans(n, func(i int) int { return (i - 1) / 4 })})[0]
			b.ReportAllocs()
			for b.Loop() {
				tr.CriticalPath()
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "spans/s")
		})
	}
}

func BenchmarkRetime(b *testing.B) {
	tr := BuildTraces(&evidence.Bundle{Spans: nestedSpans(10_000, func(i int) int { return (i - 1) / 4 })})[0]
	c := tr.NewCuts()
	for i := range c {
		c[i] = tr.SelfTime(int32(i)) / 2
	}
	b.ReportAllocs()
	for b.Loop() {
		tr.Retime(c)
	}
	b.ReportMetric(float64(10_000*b.N)/b.Elapsed().Seconds(), "spans/s")
}

func BenchmarkBuildTraces(b *testing.B) {
	bundle := &evidence.Bundle{Spans: nestedSpans(10_000, func(i int) int { return (i - 1) / 4 })}
	bundle.Sort()
	b.ReportAllocs()
	for b.Loop() {
		BuildTraces(bundle)
	}
	b.ReportMetric(float64(10_000*b.N)/b.Elapsed().Seconds(), "spans/s")
}
