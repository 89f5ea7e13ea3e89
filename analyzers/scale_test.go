//go:build unix

package analyzers

import (
	"encoding/binary"
	"fmt"
	"runtime"
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

// Ten times the input costs about ten times the work: far from the hundred
// times of something quadratic. CPU time is compared with itself, the best of
// three, since other tests run beside this one.
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
	const limit = 40
	a, b = workOf(t, small), workOf(t, large)
	if ratio := float64(b.cpu) / float64(a.cpu); ratio > limit {
		t.Errorf("%d spans took %v, %d took %v: %.0f times as much", len(small.Spans), a.cpu, len(large.Spans), b.cpu, ratio)
	}
	if ratio := float64(b.bytes) / float64(a.bytes); ratio > 20 { // what grows by appending is copied now and then
		t.Errorf("%d spans took %d bytes, %d took %d: %.1f times as much", len(small.Spans), a.bytes, len(large.Spans), b.bytes, ratio)
	}
	return a, b
}

type work struct {
	cpu                time.Duration
	bytes, allocations uint64
}

// workOf analyzing a bundle and explaining its first trace.
func workOf(t testing.TB, b *evidence.Bundle) (least work) {
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := cpuTime(t)
		r := Run(b)
		for _, tr := range r.Facts.Traces {
			Explain(tr)
		}
		took := max(cpuTime(t)-began, time.Millisecond)
		runtime.ReadMemStats(&after)
		if least.cpu == 0 || took < least.cpu {
			least.cpu = took
		}
		least.bytes, least.allocations = after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs
	}
	return least
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
