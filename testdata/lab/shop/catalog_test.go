package shop

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

func TestRelatedAreTheNearestOthersHoweverTheyAreFound(t *testing.T) {
	var all []features
	for id := range int64(50) {
		f := features{id: id}
		f.vector[0] = float32(id)
		all = append(all, f)
	}
	for name, rank := range rankings {
		if got, want := rank(all, 48), []int64{49, 47, 46, 45, 44, 43, 42, 41}; !slices.Equal(got, want) {
			t.Errorf("%s: related to 48: %v, want %v", name, got, want)
		}
		if got := rank(all, 99); got != nil {
			t.Errorf("%s: related to an unknown product: %v", name, got)
		}
	}
}

func TestViewsAreKeptOnlyWherePlanted(t *testing.T) {
	for keep, want := range map[bool]int{false: 0, true: 2} {
		c := &catalog{features: make([]features, 3), views: &keptViews{}, choices: settings.Choices{KeepViews: keep}}
		for i := range c.features {
			c.features[i] = features{id: int64(i + 1), vector: [featureCount]float32{1}}
		}
		c.alike(1)
		if got := c.alike(2); len(c.views.all) != want || (got == 1) != keep {
			t.Errorf("keep_views %t: %d views kept, and 2 is like %d", keep, len(c.views.all), got)
		}
	}
}

func TestListingKeyIsSharedUnlessPlanted(t *testing.T) {
	keys := map[string]map[string]bool{settings.KeyStable: {}, settings.KeyOfRequest: {}}
	for choice, seen := range keys {
		c := &catalog{choices: settings.Choices{CacheKey: choice}}
		for _, id := range []string{"a", "b"} {
			r := httptest.NewRequest("GET", "/products?category=3", nil)
			r.Header.Set("X-Request-Id", id)
			seen[c.listingKey(r, 3)] = true
		}
	}
	if len(keys[settings.KeyStable]) != 1 || len(keys[settings.KeyOfRequest]) != 2 {
		t.Errorf("keys are %v", keys)
	}
}
