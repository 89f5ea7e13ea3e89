package shop

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// features place a product among others: near ones are shown as related.
type features struct {
	id     int64
	vector [featureCount]float32
}

const (
	featureCount = 192
	relatedCount = 8
)

// scored is how near a product is to another.
type scored struct {
	id    int64
	score float32
}

// rankings are the ways of finding the products related to one. All find the
// same; what they cost differs.
var rankings = map[string]func([]features, int64) []int64{
	settings.RankByPass:   rankByPass,
	settings.RankByPasses: rankByPasses,
	settings.RankBySort:   rankBySort,
}

// loadFeatures derives a vector from each product's columns. What the numbers
// mean does not matter, that they must be compared does.
func loadFeatures(ctx context.Context, db *database) ([]features, error) {
	rows, _ := db.Query(ctx, "SELECT id FROM products ORDER BY id")
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("load features: %w", err)
	}
	all := make([]features, len(ids))
	for i, id := range ids {
		all[i].id = id
		state := uint64(id)
		for k := range all[i].vector {
			state = state*6364136223846793005 + 1442695040888963407
			all[i].vector[k] = float32(state>>40) / (1 << 24)
		}
	}
	return all, nil
}

// rankByPass ranks all products by the product of their vectors with that of
// id, and keeps the best few on the way.
func rankByPass(all []features, id int64) []int64 {
	at, found := placeOf(all, id)
	if !found {
		return nil
	}
	best := make([]scored, 0, relatedCount+1)
	for i := range all {
		if i == at {
			continue
		}
		s := scored{all[i].id, dot(&all[at].vector, &all[i].vector)}
		if len(best) == relatedCount && s.score <= best[relatedCount-1].score {
			continue
		}
		place, _ := slices.BinarySearchFunc(best, s, nearer)
		best = slices.Insert(best, place, s)
		best = best[:min(len(best), relatedCount)]
	}
	return idsOf(best)
}

// rankByPasses looks for the nearest, then for the nearest of the rest, and so
// on, through all products every time.
func rankByPasses(all []features, id int64) []int64 {
	at, found := placeOf(all, id)
	if !found {
		return nil
	}
	var best []scored
	for range min(relatedCount, len(all)-1) {
		next := scored{score: -1}
		for i := range all {
			if s := (scored{all[i].id, dot(&all[at].vector, &all[i].vector)}); i != at && s.score > next.score && !slices.Contains(best, s) {
				next = s
			}
		}
		best = append(best, next)
	}
	return idsOf(best)
}

// rankBySort keeps a note of every product, and sorts them all.
func rankBySort(all []features, id int64) []int64 {
	at, found := placeOf(all, id)
	if !found {
		return nil
	}
	var notes []*scored
	for i := range all {
		if i != at {
			notes = append(notes, &scored{all[i].id, dot(&all[at].vector, &all[i].vector)})
		}
	}
	slices.SortFunc(notes, func(a, b *scored) int { return nearer(*a, *b) })
	var best []scored
	for _, n := range notes[:min(relatedCount, len(notes))] {
		best = append(best, *n)
	}
	return idsOf(best)
}

func placeOf(all []features, id int64) (int, bool) {
	return slices.BinarySearchFunc(all, id, func(f features, id int64) int { return cmp.Compare(f.id, id) })
}

func nearer(a, b scored) int { return cmp.Compare(b.score, a.score) }

func idsOf(best []scored) []int64 {
	ids := make([]int64, len(best))
	for i, s := range best {
		ids[i] = s.id
	}
	return ids
}

func dot(a, b *[featureCount]float32) float32 {
	var sum float32
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
