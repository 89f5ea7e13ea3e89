package analyzers

import (
	"math"
	"slices"
)

// Bars for an onset: a rise that chance seldom makes, and of a size that
// counts.
const (
	onsetChance   = 0.01
	onsetRise     = 1.3 // median after over median before
	onsetFewest   = 8   // points, below which no rank test can reach onsetChance
	onsetFewSides = 2   // points on either side
)

// Onset says when a series rose for good, in Unix ms, by Pettitt's rank test
// for one change-point (Applied Statistics 28, 1979): the split whose two
// sides differ most in rank. It is false where no rise stands out from chance.
func Onset(times []int64, values []float64) (int64, bool) {
	n := min(len(times), len(values))
	if n < onsetFewest {
		return 0, false
	}
	ranks := midRanks(values[:n])
	split, most, sum := 0, 0.0, 0.0
	for k := range n - onsetFewSides {
		sum += ranks[k]
		// U = 2*sum - (k+1)*(n+1) is negative where what comes before is low.
		u := float64((k+1)*(n+1)) - 2*sum
		if k+1 >= onsetFewSides && u > most {
			split, most = k+1, u
		}
	}
	size := float64(n)
	chance := 2 * math.Exp(-6*most*most/(size*size*size+size*size))
	if split == 0 || chance > onsetChance || quantile(values[split:n], 0.5) < onsetRise*quantile(values[:split], 0.5) {
		return 0, false
	}
	return times[split], true
}

// midRanks gives every value its rank from 1; equal ones share their mean.
func midRanks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return a - b
	})
	ranks := make([]float64, len(values))
	for lo := 0; lo < len(order); {
		hi := lo
		for hi < len(order) && values[order[hi]] == values[order[lo]] {
			hi++
		}
		for _, i := range order[lo:hi] {
			ranks[i] = float64(lo+hi+1) / 2
		}
		lo = hi
	}
	return ranks
}
