package analyzers

import "math"

// Onset is when something began to be worse, as far as its samples can tell.
type Onset struct {
	At        int64 `json:"t"`            // Unix ms
	Tolerance int64 `json:"tolerance_ms"` // it may have begun this much earlier or later
}

const (
	// shiftPoints each side of a change must have: fewer are an outlier.
	shiftPoints = 3
	// shiftExplains is the share of a series' variance that one upward step
	// must account for to be called a change. A straight ramp reaches 0.75:
	// what a line explains better than a step grew all the time, and has no
	// onset in its middle.
	shiftExplains = 0.5
)

// onsetOf finds the one upward step that best explains a series: the split
// with the least squared error around two means (binary segmentation, Scott
// and Knott 1974, one level). Nil where no step explains half of the variance,
// where a straight line explains more, or the series is too short. over is the rate window of the series in ms.
func onsetOf(times []int64, values []float64, over int64) *Onset {
	n := len(values)
	if n < 2*shiftPoints || n != len(times) {
		return nil
	}
	total := sum(values)
	centre := total / float64(n)
	variance := 0.0
	for _, v := range values {
		variance += (v - centre) * (v - centre)
	}
	at, best, left := 0, 0.0, 0.0
	for i := 1; i < n; i++ {
		left += values[i-1]
		if i < shiftPoints || n-i < shiftPoints {
			continue
		}
		a, b := left/float64(i), (total-left)/float64(n-i)
		// what the split takes off the squared error
		if gain := float64(i) * float64(n-i) / float64(n) * (b - a) * (b - a); b > a && gain > best {
			at, best = i, gain
		}
	}
	if at == 0 || variance <= 0 || best/variance < shiftExplains || math.IsNaN(best) {
		return nil
	}
	if _, slope, fit := line(times, values); slope > 0 && fit > best/variance {
		return nil
	}
	return &Onset{At: times[at], Tolerance: times[at] - times[at-1] + over/2}
}

// after reports whether one began later than the other beyond what their
// samples leave open; two sample intervals are never told apart.
func (o *Onset) after(other *Onset) bool {
	return o != nil && other != nil && o.At-other.At > 2*max(o.Tolerance, other.Tolerance)
}

// Late says by how many seconds a mechanism began after the symptom it should
// explain; 0 where it did not, or nobody can tell.
func Late(mechanism, symptom *Onset) float64 {
	if !mechanism.after(symptom) {
		return 0
	}
	return float64(mechanism.At-symptom.At) / 1000
}

// findOnsets gives every finding that carries a series its onset. Of a chart of
// several lines, as sessions by wait, nobody says which is the mechanism.
func findOnsets(findings []Finding) {
	for i := range findings {
		f := &findings[i]
		if f.Onset == nil && len(f.Charts) > 0 && len(f.Charts[0].Lines) == 1 {
			l := f.Charts[0].Lines[0]
			f.Onset = onsetOf(l.Times, l.Values, 0)
		}
	}
}
