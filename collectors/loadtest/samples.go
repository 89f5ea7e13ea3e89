package loadtest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// maxLabels bounds how many requests are told apart by name.
const maxLabels = 1000

// maxModules bounds how many modules a run is taken to have.
const maxModules = 100

// sample is one request as a tool logs it.
type sample struct {
	name    string
	module  string // part of the load that sent it: scenario, thread group; "": none
	at      int64  // start, Unix ms
	elapsed float64
	failed  bool
	// stands marks the sample of a transaction: the requests inside it count,
	// and it does not count once more among all.
	stands bool
}

// samples collects single requests as a tool logs them: what it holds grows
// with names and distinct times, not with requests.
type samples struct {
	from       int64 // Unix ms: what began earlier is of another run
	all        counted
	standing   counted // samples of transactions
	byName     map[string]*counted
	modules    map[string]*samples // nil in a module itself
	start, end int64
	early      int // left out for from
	unnamed    int // beyond maxLabels
}

// counted is how many requests took how many microseconds, to four digits.
type counted struct {
	times         map[int64]int
	count, failed int
}

func newSamples(from int64) *samples {
	return &samples{from: from, byName: map[string]*counted{}, modules: map[string]*samples{}}
}

// add takes one request.
func (s *samples) add(x sample) {
	if x.at < s.from {
		s.early++
		return
	}
	if s.start == 0 || x.at < s.start {
		s.start = x.at
	}
	s.end = max(s.end, x.at+int64(math.Ceil(x.elapsed*1000)))
	micros := fourDigits(x.elapsed)
	if x.stands {
		s.standing.add(micros, x.failed)
	} else {
		s.all.add(micros, x.failed)
	}
	s.addNamed(x, micros)
	if x.module != "" && s.modules != nil {
		s.module(x.module).add(x)
	}
}

func (s *samples) addNamed(x sample, micros int64) {
	c := s.byName[x.name]
	if c == nil && len(s.byName) >= maxLabels {
		s.unnamed++
		return
	}
	if c == nil {
		c = &counted{}
		s.byName[strings.Clone(x.name)] = c // of a buffer that is used again
	}
	c.add(micros, x.failed)
}

// module finds the part of the load by name; those beyond maxModules share the
// last.
func (s *samples) module(name string) *samples {
	if m := s.modules[name]; m != nil {
		return m
	}
	if len(s.modules) >= maxModules {
		name = "others"
	}
	if s.modules[name] == nil {
		s.modules[strings.Clone(name)] = &samples{byName: map[string]*counted{}}
	}
	return s.modules[name]
}

// fourDigits are the microseconds of a time in s, rounded to four digits, so
// that the distinct times stay few.
func fourDigits(seconds float64) int64 {
	micros, unit := int64(math.Round(seconds*1e6)), int64(1)
	for micros/unit >= 10_000 {
		unit *= 10
	}
	return (micros + unit/2) / unit * unit
}

func (c *counted) add(micros int64, failed bool) {
	if c.times == nil {
		c.times = map[int64]int{}
	}
	c.times[micros]++
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

// countStanding counts transactions among all requests: what they stand for
// was not logged.
func (s *samples) countStanding() {
	s.all.merge(&s.standing)
	for _, m := range s.modules {
		m.countStanding()
	}
}

// run gives the account of a tool's run; all requests come first.
func (s *samples) run(tool string) evidence.LoadRun {
	out := evidence.LoadRun{Tool: tool, Start: s.start, End: s.end, Requests: s.stats()}
	for name, m := range s.modules {
		out.Modules = append(out.Modules, evidence.LoadModule{Name: name, Start: m.start, End: m.end, Requests: m.stats()})
	}
	slices.SortFunc(out.Modules, func(a, b evidence.LoadModule) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Name, b.Name))
	})
	if s.early > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d samples of an earlier run in the same file were left out", s.early))
	}
	if s.unnamed > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("more than %d names: %d samples count among all requests only", maxLabels, s.unnamed))
	}
	return out
}

func (s *samples) stats() (out []evidence.LoadStat) {
	if s.all.count > 0 {
		out = append(out, s.all.stat(""))
	}
	for name, c := range s.byName {
		if name != "" {
			out = append(out, c.stat(name))
		}
	}
	slices.SortFunc(out, func(a, b evidence.LoadStat) int { return cmp.Compare(a.Name, b.Name) })
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
				return float64(t) / 1e6
			}
		}
		return 0
	}
	return evidence.LoadStat{Name: name, Count: float64(c.count), Failed: float64(c.failed), P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}
