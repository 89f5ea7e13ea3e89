package traces

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestSpread(t *testing.T) {
	if got := fmt.Sprint(spread(8)); got != "[0 4 2 6 1 5 3 7]" {
		t.Error(got)
	}
	if got := fmt.Sprint(spread(3)); got != "[0 2 1]" {
		t.Error(got)
	}
}

// The slices partition the window, and the budget is not exceeded.
func TestPlan(t *testing.T) {
	w := evidence.Window{Start: epoch, End: epoch.Add(61 * time.Second)}
	for _, targets := range []int{0, 1, 3, 14, 60} {
		p := newPlan(w, targets, defaultTraces)
		var sum time.Duration
		for _, s := range p.slices {
			sum += s.Duration()
		}
		if sum != w.Duration() {
			t.Errorf("%d targets: slices cover %s", targets, sum)
		}
		if p.share > perOperation || p.share*targets > defaultTraces || p.base < 1 || p.base*len(p.slices) > p.share || p.levels < 1 {
			t.Errorf("%d targets: %d slices of %d of %d, %d levels", targets, len(p.slices), p.base, p.share, p.levels)
		}
	}
}

// A target of 900 fast and 100 slow requests: the slow are drawn as often as
// the fast, and their weights bring them back to a tenth.
func TestWeights(t *testing.T) {
	tg := &target{levels: []level{{threshold: 1000}}}
	for i := range 100 {
		ns := int64(100)
		if i%10 == 0 {
			ns = 1000
		}
		tg.base = append(tg.base, ns)
		tg.drawn = append(tg.drawn, draw{evidence.TraceID{1, byte(i)}, ns})
	}
	for i := range 80 {
		tg.drawn = append(tg.drawn, draw{evidence.TraceID{2, byte(i)}, 2000})
	}
	total, slow := 0.0, 0.0
	for _, w := range tg.weights() {
		total += w.Weight
		if w.Stratum == "tail" {
			slow += w.Weight
		}
	}
	if math.Abs(total-180) > 1e-9 || math.Abs(slow/total-0.1) > 1e-9 {
		t.Errorf("total %v, slow share %v", total, slow/total)
	}
}

// Of 10,000 requests 500 are slow, and 20 of these very slow: each level is asked
// for by itself where the one below holds more than is asked for, no target
// takes more than its share, and the weights give every level its true share.
func TestLevels(t *testing.T) {
	p := newPlan(evidence.Window{Start: epoch, End: epoch.Add(time.Minute)}, 5, defaultTraces)
	tg := &target{name: "get"}
	s := &search{targets: []*target{tg}, sample: sample{maxTraces: defaultTraces, maxSpans: defaultSpans, seen: map[evidence.TraceID]bool{}}}
	answer := func(j job) (out []found) {
		for k := 10_000*(j.slice+1)/len(p.slices) - 1; k >= 10_000*j.slice/len(p.slices) && len(out) < j.depth; k-- {
			ns := int64(100 + k%50)
			if k%20 < 1 {
				ns = 10_000 + int64(k)
			}
			if k%500 < 1 {
				ns = 1_000_000
			}
			if ns >= int64(j.slower) {
				out = append(out, found{evidence.TraceID{1, byte(k >> 8), byte(k)}, []evidence.Span{{Name: "get", End: ns}}})
			}
		}
		return out
	}
	for _, j := range p.baseJobs(s.targets) {
		s.draw(j, answer(j))
	}
	s.aim()
	asked := 0
	for n := range p.levels {
		if n > 0 {
			s.climb()
		}
		for _, j := range p.tailJobs(s.targets, n+1) {
			s.drawSlow(j, answer(j))
			asked++
		}
	}
	slowest, verySlow, all := 0, 0.0, 0.0
	for i, w := range tg.weights() {
		all += w.Weight
		if tg.drawn[i].duration >= 10_000 {
			verySlow += w.Weight
		}
		if tg.drawn[i].duration == 1_000_000 {
			slowest++
		}
	}
	if len(tg.levels) < 2 || slowest < 10 || len(tg.drawn) > p.share || asked > p.levels*len(p.slices) {
		t.Errorf("%d levels, %d of the slowest, %d drawn of %d, %d asked", len(tg.levels), slowest, len(tg.drawn), p.share, asked)
	}
	if share := verySlow / all; share < 0.02 || share > 0.08 {
		t.Errorf("the slow are %.3f of the requests by their weights, and not 0.05", share)
	}
}

func TestSampleBounds(t *testing.T) {
	s := sample{maxTraces: 2, maxSpans: 5, seen: map[evidence.TraceID]bool{}}
	tr := func(id byte, spans int) found {
		return found{evidence.TraceID{id}, make([]evidence.Span, spans)}
	}
	got := fmt.Sprint(s.keep(tr(1, 3)), s.keep(tr(1, 3)), s.keep(tr(2, 3)), s.keep(tr(3, 2)), s.full(), s.refused)
	if got != "true false false true true 1" {
		t.Error(got)
	}
}
