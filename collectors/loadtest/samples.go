package loadtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// maxLabels bounds how many requests are told apart by name.
const maxLabels = 1000

// samples collects single requests as a tool logs them, with times in whole
// ms: what it holds grows with names and distinct times, not with requests.
type samples struct {
	from       int64 // Unix ms: what began earlier is of another run
	all        counted
	byName     map[string]*counted
	start, end int64
	early      int // left out for from
	unnamed    int // beyond maxLabels
}

// counted is how many requests took how many ms.
type counted struct {
	times         map[int64]int
	count, failed int
}

func newSamples(from int64) *samples { return &samples{from: from, byName: map[string]*counted{}} }

// add takes one request. inAll says whether it counts among all requests,
// which the sample of a transaction does not when those inside it do.
func (s *samples) add(name string, at, elapsed int64, failed, inAll bool) {
	if at < s.from {
		s.early++
		return
	}
	if s.start == 0 || at < s.start {
		s.start = at
	}
	s.end = max(s.end, at+elapsed)
	if inAll {
		s.all.add(elapsed, failed)
	}
	c := s.byName[name]
	if c == nil {
		name = strings.Clone(name) // of a buffer that is used again
	}
	if c == nil && len(s.byName) >= maxLabels {
		s.unnamed++
		return
	}
	if c == nil {
		c = &counted{}
		s.byName[name] = c
	}
	c.add(elapsed, failed)
}

func (c *counted) add(elapsed int64, failed bool) {
	if c.times == nil {
		c.times = map[int64]int{}
	}
	c.times[elapsed]++
	c.count++
	if failed {
		c.failed++
	}
}

func (c *counted) merge(o *counted) {
	if c.times == nil {
		c.times = map[int64]int{}
	}
	for t, n := range o.times {
		c.times[t] += n
	}
	c.count, c.failed = c.count+o.count, c.failed+o.failed
}

// run gives the account of a tool's run; all requests come first.
func (s *samples) run(tool string) evidence.LoadRun {
	out := evidence.LoadRun{Tool: tool, Start: s.start, End: s.end}
	if s.all.count > 0 {
		out.Requests = append(out.Requests, s.all.stat(""))
	}
	for name, c := range s.byName {
		if name != "" {
			out.Requests = append(out.Requests, c.stat(name))
		}
	}
	slices.SortFunc(out.Requests, func(a, b evidence.LoadStat) int { return cmp.Compare(a.Name, b.Name) })
	if s.early > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d samples of an earlier run in the same file were left out", s.early))
	}
	if s.unnamed > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("more than %d names: %d samples count among all requests only", maxLabels, s.unnamed))
	}
	return out
}

// stat takes nearest-rank percentiles of what was logged.
func (c *counted) stat(name string) evidence.LoadStat {
	times := make([]int64, 0, len(c.times))
	for t := range c.times {
		times = append(times, t)
	}
	slices.Sort(times)
	at := func(percent int) float64 {
		rank, seen := (c.count*percent+99)/100, 0
		for _, t := range times {
			if seen += c.times[t]; seen >= rank {
				return float64(t) / 1000
			}
		}
		return 0
	}
	return evidence.LoadStat{Name: name, Count: float64(c.count), Failed: float64(c.failed), P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}
