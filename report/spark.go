package report

import (
	"math"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

const sparkWidth = 30

// spark draws a line in characters, from zero up to its peak: each character
// is the highest value of its stretch of the window. Nothing measured is a
// space that no renderer collapses: a dot.
func spark(l analyzers.Line, w evidence.Window, width int) string {
	const steps = "▁▂▃▄▅▆▇█"
	levels := []rune(steps)
	from, total := w.Start.UnixMilli(), max(w.Duration().Milliseconds(), 1)
	high := make([]float64, width)
	seen := make([]bool, width)
	top := 0.0
	for i, t := range l.Times {
		k := int((t - from) * int64(width) / total)
		if k < 0 || k >= width {
			continue
		}
		if v := l.Values[i]; !seen[k] || v > high[k] {
			high[k], seen[k] = v, true
		}
		top = max(top, high[k])
	}
	var b strings.Builder
	for k := range width {
		switch {
		case !seen[k]:
			b.WriteRune('·')
		case top <= 0:
			b.WriteRune(levels[0])
		default:
			b.WriteRune(levels[min(int(max(high[k], 0)/top*float64(len(levels))), len(levels)-1)])
		}
	}
	return b.String()
}

// blocks draws a ratio of 0..1 as a bar of up to ten characters.
func blocks(ratio float64) string {
	n := int(math.Round(10 * math.Max(0, math.Min(ratio, 1))))
	return strings.Repeat("█", n) + strings.Repeat("░", 10-n)
}

// sparkOf is the p95 of an operation over the run; it is as wide as its bins.
func sparkOf(s Symptom, width int) string {
	if len(s.Charts) == 0 || len(s.Charts[0].Lines) == 0 {
		return ""
	}
	l := s.Charts[0].Lines[0]
	return spark(l, evidence.Window{Start: time.UnixMilli(l.Times[0]), End: time.UnixMilli(l.Times[len(l.Times)-1] + 1)}, width)
}
