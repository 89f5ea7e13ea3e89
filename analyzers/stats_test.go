package analyzers

import (
	"math"
	"testing"
)

func TestSpearman(t *testing.T) {
	for _, tt := range []struct {
		name string
		x, y []float64
		want float64
	}{
		{"monotonic, not linear", []float64{1, 2, 3, 4, 5}, []float64{1, 4, 9, 16, 25}, 1},
		{"reversed", []float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}, -1},
		{"constant says nothing", []float64{1, 2, 3, 4}, []float64{7, 7, 7, 7}, 0},
		{"too few", []float64{1, 2}, []float64{1, 2}, 0},
		{"ties", []float64{1, 1, 2, 2}, []float64{1, 1, 2, 2}, 1},
	} {
		if got := spearman(tt.x, tt.y); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	if got := quantile([]float64{4, 1, 3, 2}, 1); got != 4 {
		t.Errorf("maximum %g", got)
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("a quantile of nothing is not a number")
	}
}
