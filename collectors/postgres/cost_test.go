package postgres

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// BenchmarkSampler reads the CPU time of the whole server, with the sampler at
// 10 Hz and without it, over the same idle sessions and the same few that work:
// what it costs, in per cent of one core. It is meant to stay below 1.
func BenchmarkSampler(b *testing.B) {
	for name, get := range map[string]func(testing.TB) release{"15": debian15, "18": npm18} {
		b.Run(name, func(b *testing.B) { benchmarkSampler(b, get(b)) })
	}
}

func benchmarkSampler(b *testing.B, r release) {
	s := startRelease(b, r)
	s.shop()
	for range 36 {
		s.connect("postgres", "shop")
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(stop)
	for range 4 {
		conn := s.connect("postgres", "shop")
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					_, _ = conn.Exec(context.Background(), "select 1")
				}
			}
		})
	}
	const lasts = 20 * time.Second
	spent := func() float64 {
		before := s.cpu()
		time.Sleep(lasts)
		return s.cpu() - before
	}
	var with, without float64
	for b.Loop() {
		without += spent()
		c := newCollector(b, Config{DSN: s.dsn("watcher", "shop")})
		if err := c.Begin(b.Context()); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Second) // the first snapshot is not sampling
		with += spent()
		c.Close()
	}
	seconds := float64(b.N) * lasts.Seconds()
	b.ReportMetric(100*without/seconds, "%core-without")
	b.ReportMetric(100*with/seconds, "%core-with")
	b.ReportMetric(100*(with-without)/seconds, "%core")
}

// cpu is the time that all processes of the server have taken so far, s. Those
// of them that ended count with the postmaster, which waited for them.
func (s *server) cpu() float64 {
	s.t.Helper()
	parent := strconv.Itoa(s.cmd.Process.Pid)
	ids, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", parent, parent))
	if err != nil {
		needs.Missing(s.t, "no /proc with the children of a process: the server's CPU time cannot be read")
	}
	sum := 0.0
	for _, pid := range append(strings.Fields(string(ids)), parent) {
		stat, err := os.ReadFile("/proc/" + pid + "/schedstat") // in ns, where stat counts ticks
		if err != nil {
			continue // it has ended since
		}
		ns, _, _ := strings.Cut(string(stat), " ")
		spent, _ := strconv.ParseFloat(ns, 64)
		sum += spent / 1e9
	}
	return sum
}
