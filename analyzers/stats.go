package analyzers

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gonum.org/v1/gonum/stat"
)

// quantile of unsorted values, linear between ranks (gonum's LinInterp); NaN
// for none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return stat.Quantile(q, stat.LinInterp, sorted, nil)
}

// mean of values, 0 for none.
func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return stat.Mean(values, nil)
}

// spearman is the rank correlation of two equally long samples, 0 where it is
// not defined (fewer than 4 pairs, or one of them constant).
func spearman(x, y []float64) float64 {
	if len(x) < 4 || len(x) != len(y) {
		return 0
	}
	r := stat.Correlation(ranks(x), ranks(y), nil)
	if math.IsNaN(r) {
		return 0
	}
	return r
}

// ranks gives each value its rank, ties their mean rank.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			out[order[k]] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

// per is a / b, 0 where b is not positive.
func per(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

// clamp01 keeps a strength within 0..1.
func clamp01(x float64) float64 { return max(0, min(1, x)) }

// decimals writes a number for people.
func decimals(v float64, n int) string { return strconv.FormatFloat(v, 'f', n, 64) }

// bytesText writes bytes for people, in powers of 1024.
func bytesText(v float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	return decimals(v, min(i, 1)) + " " + units[i]
}

// containsWord reports whether text has a word, in any case; whatever is no
// letter and no digit stands between words.
func containsWord(text, word string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}
