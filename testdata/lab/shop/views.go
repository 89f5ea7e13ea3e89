package shop

import (
	"slices"
	"sync"
)

// view is what is remembered of one look at a product: how near everything
// else in the shop is to it.
type view struct {
	product   int64
	proximity []float32
}

// keptViews are all views since the process started. Nothing ever leaves.
type keptViews struct {
	mu  sync.RWMutex
	all []*view
}

// alike is the product that somebody of the same taste looked at: the kept
// view most like this one. 0 where views are not kept.
func (c *catalog) alike(id int64) int64 {
	at, found := placeOf(c.features, id)
	if !c.choices.KeepViews || !found {
		return 0
	}
	now := &view{product: id, proximity: make([]float32, len(c.features))}
	for i := range c.features {
		now.proximity[i] = dot(&c.features[at].vector, &c.features[i].vector)
	}
	c.views.mu.RLock()
	before := slices.Clone(c.views.all)
	c.views.mu.RUnlock()
	c.views.mu.Lock()
	c.views.all = append(c.views.all, now)
	c.views.mu.Unlock()
	return now.nearest(before)
}

// tasteStep: every so many-th product tells enough of a taste.
const tasteStep = 4

// nearest of other views of other products.
func (v *view) nearest(others []*view) int64 {
	var nearest int64
	var most float32
	for _, o := range others {
		var sum float32
		for i := 0; i < len(v.proximity); i += tasteStep {
			sum += v.proximity[i] * o.proximity[i]
		}
		if sum > most && o.product != v.product {
			nearest, most = o.product, sum
		}
	}
	return nearest
}
