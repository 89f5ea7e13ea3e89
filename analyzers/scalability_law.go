package analyzers

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// law3 is the mean time of a request with N in flight, in s:
// a + b(N-1) + cN(N-1), which is the law with λ=1/a, σ=b/a, κ=c/a.
type law3 [3]float64

func (l law3) each() float64       { return 1 / l[0] }
func (l law3) contention() float64 { return l[1] / l[0] }
func (l law3) coherency() float64  { return l[2] / l[0] }
func (l law3) peak() float64       { return math.Sqrt(max(0, 1-l.contention()) / l.coherency()) }
func (l law3) rate(n float64) float64 {
	return n / (l[0] + l[1]*(n-1) + l[2]*n*(n-1))
}

// lawOf levels by least squares of the relative error. None of the constants is
// negative: where the best fit has such a one, the best without one or two of
// them counts. False where none does.
func lawOf(in []loadLevel) (law3, bool) {
	normal := normalOf(in)
	if l, _, ok := normal.solve([]int{0, 1, 2}); ok {
		return l, true
	}
	var best law3
	least := math.Inf(1)
	for _, terms := range [][]int{{0, 1}, {0, 2}, {0}} {
		if l, left, ok := normal.solve(terms); ok && left < least {
			best, least = l, left
		}
	}
	return best, !math.IsInf(least, 1)
}

// normalEquations of the relative error of a request's time, its terms scaled to
// at most one at the most requests in flight.
type normalEquations struct {
	most float64
	a    [3][3]float64
	b    [3]float64
}

func normalOf(in []loadLevel) *normalEquations {
	e := &normalEquations{most: 1}
	for _, s := range in {
		e.most = max(e.most, s.n)
	}
	for _, s := range in {
		w := s.x / s.n
		row := [3]float64{w, w * (s.n - 1) / e.most, w * s.n * (s.n - 1) / (e.most * e.most)}
		for i := range row {
			e.b[i] += s.slices * row[i]
			for k := range row {
				e.a[i][k] += s.slices * row[i] * row[k]
			}
		}
	}
	return e
}

// solve for some of the terms; left is the squared error but for a constant.
func (e *normalEquations) solve(terms []int) (l law3, left float64, ok bool) {
	a, b := mat.NewSymDense(len(terms), nil), mat.NewVecDense(len(terms), nil)
	for i, t := range terms {
		b.SetVec(i, e.b[t])
		for k, u := range terms {
			a.SetSym(i, k, e.a[t][u])
		}
	}
	var factors mat.Cholesky
	var x mat.VecDense
	if !factors.Factorize(a) || factors.SolveVecTo(&x, b) != nil {
		return l, 0, false
	}
	for k, t := range terms {
		l[t] = x.AtVec(k) / math.Pow(e.most, float64(t))
	}
	return l, -mat.Dot(&x, b), l[0] > 0 && l[1] >= 0 && l[2] >= 0
}

// misfit is the root of the mean squared relative error of a request's time, and
// by how many standard deviations its sign changes more often along N than by
// chance: below 0 less often.
func (l law3) misfit(in []loadLevel) (left, runs float64) {
	sorted := slices.SortedStableFunc(slices.Values(in), func(a, b loadLevel) int { return cmp.Compare(a.n, b.n) })
	var above, below, changes, weight float64
	was := 0.0
	for _, s := range sorted {
		e := s.n/s.x/(s.n/l.rate(s.n)) - 1
		left, weight = left+s.slices*e*e, weight+s.slices
		if e > 0 {
			above++
		} else {
			below++
		}
		if e*was <= 0 {
			changes++
		}
		was = e
	}
	n := above + below
	expected := 2*above*below/n + 1
	if spread := math.Sqrt((expected - 1) * (expected - 2) / max(n-1, 1)); spread > 0 {
		runs = (changes - expected) / spread
	}
	return math.Sqrt(left / weight), runs
}
