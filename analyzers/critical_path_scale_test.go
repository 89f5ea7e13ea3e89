//go:build unix

package analyzers

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Wide, deep and long traces must cost what their size says: 5 s of CPU time
// (not of the clock: other tests run beside this one).
func TestCriticalPathScales(t *testing.T) {
	if testing.Short() {
		t.Skip("a million spans")
	}
	for name, parent := range map[string]func(i int) int{
		"a million spans":      func(i int) int { return (i - 1) / 10 },
		"100,000 children":     func(i int) int { return 0 },
		"a chain of 100,000":   func(i int) int { return i - 1 },
		"children of children": func(i int) int { return i / 2 },
	} {
		t.Run(name, func(t *testing.T) {
			n := 100_000
			if name == "a million spans" {
				n = 1_000_000
			}
			b := &evidence.Bundle{Spans: nestedSpans(n, parent)}
			began := cpuTime(t)
			tr := BuildTraces(b)[0]
			checkPartition(t, tr, tr.Root)
			if got, want := tr.Retime(tr.NewCuts()), tr.Spans[tr.Root].Duration(); got != want {
				t.Errorf("re-timed to %d of %d ns", got, want)
			}
			if took := cpuTime(t) - began; took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A request that asks a hundred thousand times is explained in as little.
func TestExplainScales(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of thousands of spans")
	}
	const n = 100_000
	for name, line := range map[string]string{"statements": strings.NewReplacer("$from", "5", "$to", "50").Replace(lookupLine), "cache misses": cacheGet + fallback + cacheSet, "refusals": "  5-50 shop client GET | error"} {
		t.Run(name, func(t *testing.T) {
			turn := tellSpans(t, server+line)
			spans := turn[:1]
			for k := range int64(n / (len(turn) - 1)) {
				for _, s := range turn[1:] {
					s.ID, s.Start, s.End = testSpanID(uint64(len(spans)+1)), s.Start+k*60e6, s.End+k*60e6
					spans = append(spans, s)
				}
			}
			spans[0].End = spans[len(spans)-1].End
			began := cpuTime(t)
			tr := BuildTraces(&evidence.Bundle{Spans: spans})[0]
			if r := Explain(tr); len(r.Patterns) == 0 {
				t.Error("nothing found")
			}
			for _, d := range detectors() {
				for _, found := range d.find(tr) {
					found.cut(tr.NewCuts())
				}
			}
			if took := cpuTime(t) - began; took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// cpuTime of this process so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
