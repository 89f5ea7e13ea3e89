package report

import (
	"math"
	"slices"
	"strconv"

	"github.com/culprit-rca/culprit/analyzers"
)

// Bounds of one chart: more lines cannot be told apart, more points cannot be
// seen at the width of a page.
const (
	linesPerChart = 8
	pointsPerLine = 220
)

// thinned copies charts with what can be drawn: finite points in time order,
// at most pointsPerLine a line and linesPerChart lines (those that reach
// highest).
func thinned(in []analyzers.Chart) []analyzers.Chart {
	var out []analyzers.Chart
	for _, c := range in {
		lines := make([]analyzers.Line, 0, len(c.Lines))
		for _, l := range c.Lines {
			if l = drawable(l); len(l.Times) > 0 {
				lines = append(lines, l)
			}
		}
		if c.Lines = highest(lines); len(c.Lines) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func highest(lines []analyzers.Line) []analyzers.Line {
	if len(lines) <= linesPerChart {
		return lines
	}
	peaks := make([]float64, len(lines))
	for i, l := range lines {
		peaks[i] = slices.Max(l.Values)
	}
	sorted := slices.Sorted(slices.Values(peaks))
	floor := sorted[len(sorted)-linesPerChart]
	var out []analyzers.Line
	for i, l := range lines {
		if peaks[i] >= floor && len(out) < linesPerChart {
			out = append(out, l)
		}
	}
	return out
}

func drawable(l analyzers.Line) analyzers.Line {
	out := analyzers.Line{Name: l.Name}
	for i := range min(len(l.Times), len(l.Values)) {
		v := l.Values[i]
		if math.IsNaN(v) || math.IsInf(v, 0) || (len(out.Times) > 0 && l.Times[i] <= out.Times[len(out.Times)-1]) {
			continue
		}
		out.Times = append(out.Times, l.Times[i])
		out.Values = append(out.Values, v)
	}
	return lttb(out, pointsPerLine)
}

// lttb keeps n points that preserve the look of a line: of every bucket the
// one that spans the largest triangle with its neighbours (S. Steinarsson,
// Downsampling Time Series for Visual Representation, 2013). Values are
// rounded to six significant digits, which no eye and no reader needs more.
func lttb(l analyzers.Line, n int) analyzers.Line {
	if len(l.Times) <= n {
		for i, v := range l.Values {
			l.Values[i] = significant(v)
		}
		return l
	}
	out := analyzers.Line{Name: l.Name, Times: make([]int64, 0, n), Values: make([]float64, 0, n)}
	keep := func(i int) {
		out.Times = append(out.Times, l.Times[i])
		out.Values = append(out.Values, significant(l.Values[i]))
	}
	keep(0)
	width, last := float64(len(l.Times)-2)/float64(n-2), 0
	for b := range n - 2 {
		from, to := 1+int(float64(b)*width), 1+int(float64(b+1)*width)
		next := min(1+int(float64(b+2)*width), len(l.Times))
		ct, cv := centre(l, to, max(next, to+1))
		last = widest(l, last, from, to, ct, cv)
		keep(last)
	}
	keep(len(l.Times) - 1)
	return out
}

func centre(l analyzers.Line, from, to int) (t, v float64) {
	to = min(to, len(l.Times))
	for i := from; i < to; i++ {
		t += float64(l.Times[i])
		v += l.Values[i]
	}
	n := float64(to - from)
	return t / n, v / n
}

func widest(l analyzers.Line, a, from, to int, ct, cv float64) int {
	best, area := from, -1.0
	at, av := float64(l.Times[a]), l.Values[a]
	for i := from; i < to; i++ {
		if s := math.Abs((at-ct)*(l.Values[i]-av) - (at-float64(l.Times[i]))*(cv-av)); s > area {
			best, area = i, s
		}
	}
	return best
}

func significant(v float64) float64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		return v
	}
	return f
}
