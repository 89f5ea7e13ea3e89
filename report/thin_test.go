package report

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
)

func TestLTTBKeepsEndsAndPeaks(t *testing.T) {
	l := analyzers.Line{}
	for i := range 5000 {
		l.Times = append(l.Times, int64(i))
		l.Values = append(l.Values, math.Sin(float64(i)/300))
	}
	l.Values[1234], l.Values[4321] = 50, -50
	got := lttb(l, pointsPerLine)
	if len(got.Times) != pointsPerLine || len(got.Values) != pointsPerLine {
		t.Fatalf("%d points, want %d", len(got.Times), pointsPerLine)
	}
	if got.Times[0] != 0 || got.Times[len(got.Times)-1] != 4999 {
		t.Error("an end is gone")
	}
	if !slices.IsSorted(got.Times) {
		t.Error("times are out of order")
	}
	if !slices.Contains(got.Times, 1234) || !slices.Contains(got.Times, 4321) {
		t.Error("a spike is gone")
	}
}

func TestThinnedDropsWhatCannotBeDrawn(t *testing.T) {
	nan := math.NaN()
	charts := []analyzers.Chart{
		{Title: "empty"},
		{Title: "no numbers", Lines: []analyzers.Line{{Times: []int64{1, 2}, Values: []float64{nan, math.Inf(1)}}}},
		{Title: "crooked", Lines: []analyzers.Line{{Times: []int64{1, 3, 2, 4, 5}, Values: []float64{1, nan, 2, 3}}}},
	}
	got := thinned(charts)
	if len(got) != 1 || !slices.Equal(got[0].Lines[0].Times, []int64{1, 2, 4}) {
		t.Errorf("%+v", got)
	}
}

func TestThinnedKeepsTheHighestLines(t *testing.T) {
	c := analyzers.Chart{}
	for i := range 20 {
		c.Lines = append(c.Lines, analyzers.Line{Name: fmt.Sprint(i), Times: []int64{1}, Values: []float64{float64(i % 7)}})
	}
	got := thinned([]analyzers.Chart{c})[0].Lines
	if len(got) != linesPerChart {
		t.Fatalf("%d lines", len(got))
	}
	for _, l := range got {
		if l.Values[0] < 4 {
			t.Errorf("line %s reaches %g only", l.Name, l.Values[0])
		}
	}
}
