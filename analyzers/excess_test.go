package analyzers

import (
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// fullFrom20To40 is the presence of what a rate over ten seconds shows of a
// node that is full from second 20 to second 40.
func fullFrom20To40(bounded bool) presence {
	s := evidence.Series{Kind: evidence.NodeCPUBusy, Over: 10}
	for t := range int64(60) {
		busy := 0.0
		for at := t - 9; at <= t; at++ { // the ten seconds that end with t
			if at > 20 && at <= 40 {
				busy += 0.1
			}
		}
		s.Times, s.Values = append(s.Times, t*1000), append(s.Values, busy)
	}
	st := stall{witnesses: []*witness{witnessOf([]*evidence.Series{&s}, witness{none: 0.85, full: 0.97, bounded: bounded})}}
	return st.presence()
}

// A rate is stamped with the end of its time and tells of the middle: read as
// it is stamped, the seconds after the end would be blamed for those before.
func TestARateTellsOfTheMiddleOfItsTime(t *testing.T) {
	pr := fullFrom20To40(false)
	for second, want := range map[int64]float64{15: 0, 20: 0, 25: 1, 30: 1, 35: 1, 40: 0, 44: 0} {
		if got := pr.at(second * 1000); got != want {
			t.Errorf("second %d: %g, want %g", second, got, want)
		}
	}
}

// A node that was full on average was full at every moment of that time.
func TestWhatCannotBeMoreThanFullWasFullAllOfTheTime(t *testing.T) {
	pr := fullFrom20To40(true)
	for second, want := range map[int64]float64{15: 0, 21: 1, 30: 1, 39: 1, 44: 0} {
		if got := pr.at(second * 1000); got != want {
			t.Errorf("second %d: %g, want %g", second, got, want)
		}
	}
}

// What met the mechanism is no measure of what a span needs without it, though
// a rate shows little of it at its edges.
func TestQuietIsWhatNoRateTellsOtherwiseOf(t *testing.T) {
	pr := fullFrom20To40(false)
	for second := range int64(50) {
		if inside := second > 20 && second <= 40; inside && pr.away(second*1000) {
			t.Errorf("second %d counts as quiet", second)
		}
	}
	for _, second := range []int64{0, 10, 18, 45, 59} {
		if !pr.away(second * 1000) {
			t.Errorf("second %d does not count as quiet", second)
		}
	}
	if gauge := (presence{times: []int64{0, 1000}, values: []float64{0, 1}, full: 1}); !gauge.away(999) || gauge.away(1000) {
		t.Error("a gauge tells of its own time alone")
	}
}
