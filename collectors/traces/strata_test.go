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
		each := len(p.slices) * (p.base + p.tail)
		if each > perOperation || each*targets > defaultTraces || p.base < 1 || p.tail < 1 {
			t.Errorf("%d targets: %d slices of %d and %d", targets, len(p.slices), p.base, p.tail)
		}
	}
}

// A target of 900 fast and 100 slow requests: the slow are drawn as often as
// the fast, and their weights bring them back to a tenth.
func TestWeights(t *testing.T) {
	tg := &target{threshold: 1000}
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
