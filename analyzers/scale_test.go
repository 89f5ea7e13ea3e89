//go:build unix

package analyzers

import (
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// shapes of one trace that make a careless walk quadratic, or overflow a
// stack: the parent of each span.
var shapes = map[string]func(i int) int{
	"ten-children":  func(i int) int { return (i - 1) / 10 },
	"two-children":  func(i int) int { return i / 2 },
	"one-parent":    func(int) int { return 0 },
	"chain":         func(i int) int { return i - 1 },
	"broken-one-id": nil,
}

func shaped(name string, n int) *evidence.Bundle {
	if parent := shapes[name]; parent != nil {
		return &evidence.Bundle{Spans: nestedSpans(n, parent)}
	}
	spans := nestedSpans(n, func(int) int { return 0 })
	for i := range spans[1:] {
		spans[i+1].ID, spans[i+1].Kind = testSpanID(7), evidence.KindServer
	}
	return &evidence.Bundle{Spans: spans}
}

// loops are requests that ask many times: n turns of a loop of calls.
var loops = map[string]string{
	"statements":   strings.NewReplacer("$from", "5", "$to", "50").Replace(lookupLine),
	"cache-misses": cacheGet + fallback + cacheSet,
	"refusals":     "  5-50 shop client GET | error",
}

func looped(t testing.TB, line string, n int) *evidence.Bundle {
	turn := tellSpans(t, server+line)
	spans := turn[:1]
	for k := range int64(n / (len(turn) - 1)) {
		for _, s := range turn[1:] {
			s.ID, s.Start, s.End = testSpanID(uint64(len(spans)+1)), s.Start+k*60e6, s.End+k*60e6
			spans = append(spans, s)
		}
	}
	spans[0].End = spans[len(spans)-1].End
	return &evidence.Bundle{Spans: spans}
}

// many traces of every mechanism.
func many(t testing.TB, n int) *evidence.Bundle {
	var one strings.Builder
	for _, m := range mechanisms {
		one.WriteString(m.has + "\n")
	}
	few := tellSpans(t, one.String())
	b := &evidence.Bundle{}
	for k := range n {
		for _, s := range few {
			binary.BigEndian.PutUint32(s.Trace[:], uint32(k))
			b.Spans = append(b.Spans, s)
		}
	}
	b.Sort()
	return b
}

// Ten times the input costs about ten times the memory, and as many
// allocations: both are counted, so they are the same on every machine. The
// time it takes is BenchmarkGrowth's to show.
func TestWorkGrowsWithTheInput(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of thousands of spans")
	}
	const least, most = 3_000, 30_000
	for name := range shapes {
		t.Run(name, func(t *testing.T) {
			compareWork(t, shaped(name, least), shaped(name, most))
		})
	}
	for name, line := range loops {
		t.Run(name, func(t *testing.T) {
			compareWork(t, looped(t, line, least), looped(t, line, most))
		})
	}
	t.Run("traces", func(t *testing.T) {
		a, b := compareWork(t, many(t, 100), many(t, 1000))
		if ratio := float64(b.allocations) / float64(a.allocations); ratio > 11 {
			t.Errorf("%.1f times as many allocations", ratio)
		}
	})
}

func compareWork(t *testing.T, small, large *evidence.Bundle) (a, b work) {
	t.Helper()
	const limit = 20 // what grows by appending is copied now and then
	a, b = workOf(small), workOf(large)
	if ratio := float64(b.bytes) / float64(a.bytes); ratio > limit {
		t.Errorf("%d spans took %d bytes, %d took %d: %.1f times as much", len(small.Spans), a.bytes, len(large.Spans), b.bytes, ratio)
	}
	return a, b
}

type work struct{ bytes, allocations uint64 }

// workOf analyzing a bundle and explaining its traces.
func workOf(b *evidence.Bundle) work {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	analyzeAndExplain(b)
	runtime.ReadMemStats(&after)
	return work{bytes: after.TotalAlloc - before.TotalAlloc, allocations: after.Mallocs - before.Mallocs}
}

func analyzeAndExplain(b *evidence.Bundle) {
	for _, tr := range Run(b).Facts.Traces {
		Explain(tr)
	}
}

// BenchmarkGrowth prints the CPU time per span of every shape at two sizes, ten
// apart: at most 1.1 times as much in the larger.
func BenchmarkGrowth(b *testing.B) {
	cases := map[string]func(n int) *evidence.Bundle{}
	for name := range shapes {
		cases[name] = func(n int) *evidence.Bundle { return shaped(name, n) }
	}
	for name, line := range loops {
		cases[name] = func(n int) *evidence.Bundle { return looped(b, line, n) }
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s=%d", name, n), func(b *testing.B) {
				bundle := cases[name](n)
				began := cpuTime(b)
				for b.Loop() {
					analyzeAndExplain(bundle)
				}
				b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/span")
			})
		}
	}
}

// What was large once stays right: paths partition the root, and nothing is
// lost in re-timing.
func TestLargeTraces(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of thousands of spans")
	}
	for name := range shapes {
		t.Run(name, func(t *testing.T) {
			tr := BuildTraces(shaped(name, 100_000))[0]
			checkPartition(t, tr, tr.Root)
			if got, want := tr.Retime(tr.NewCuts()), tr.Spans[tr.Root].Duration(); got != want {
				t.Errorf("re-timed to %d of %d ns", got, want)
			}
		})
	}
	for name, line := range loops {
		t.Run(name, func(t *testing.T) {
			if r := Explain(BuildTraces(looped(t, line, 100_000))[0]); len(r.Patterns) == 0 {
				t.Error("nothing found")
			}
		})
	}
}

// BenchmarkOneTrace analyzes one trace of a million spans, or of a hundred
// thousand children of one span: at most 5 s of CPU time and 1.5 GB. Run one at
// a time: maxrss is the process's so far.
func BenchmarkOneTrace(b *testing.B) {
	for _, c := range []struct {
		name   string
		spans  int
		bundle func() *evidence.Bundle
	}{
		{"children", 100_000, func() *evidence.Bundle { return shaped("one-parent", 100_000) }},
		{"statements", 100_000, func() *evidence.Bundle { return looped(b, loops["statements"], 100_000) }},
		{"million", 1_000_000, func() *evidence.Bundle { return shaped("ten-children", 1_000_000) }},
		{"million-statements", 1_000_000, func() *evidence.Bundle { return looped(b, loops["statements"], 1_000_000) }},
	} {
		b.Run(fmt.Sprintf("%s=%d", c.name, c.spans), func(b *testing.B) {
			bundle := c.bundle()
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				Run(bundle)
			}
			b.ReportMetric((cpuTime(b)-began).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(usage(b).Maxrss)/1024, "maxrss-MB")
		})
	}
}

// cpuTime of this process so far.
func cpuTime(t testing.TB) time.Duration {
	used := usage(t)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func usage(t testing.TB) syscall.Rusage {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return used
}
