package score

import (
	"math"
	"slices"
)

// Gain holds what a report promised against what was felt with the fault off,
// at the same load: p95 of one operation, in s.
type Gain struct {
	Now, Then float64 // predicted: with the cause and without
	Low, High float64 // of the saving
	Healthy   float64 // measured without
}

// GainOf the planted cause, where its rank and the healthy p95 are known.
func GainOf(v Verdict, r Report, healthy func(operation string) float64) *Gain {
	at := slices.IndexFunc(r.Causes, func(c Cause) bool { return c.Rank == v.Rank })
	if at < 0 || r.Causes[at].Impact == nil {
		return nil
	}
	i := r.Causes[at].Impact
	g := &Gain{Now: i.Now, Then: i.Then, Low: i.Low, High: i.High, Healthy: healthy(i.Operation)}
	if g.Healthy <= 0 || g.Healthy >= g.Now {
		return nil
	}
	return g
}

// Off is by how much the predicted p95 misses the measured one, as a share of
// the measured one.
func (g *Gain) Off() float64 { return math.Abs(g.Then-g.Healthy) / g.Healthy }

// SavingOff is by how much the predicted saving misses what was saved, as a
// share of that.
func (g *Gain) SavingOff() float64 { return math.Abs(g.Healthy-g.Then) / (g.Now - g.Healthy) }

// Inside says whether what was saved lies within the interval stated.
func (g *Gain) Inside() bool { return g.Low <= g.Now-g.Healthy && g.Now-g.Healthy <= g.High }

// Median of values, 0 for none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
