package shop

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

func TestRelatedAreTheNearestOthers(t *testing.T) {
	c := &catalog{}
	for id := range int64(50) {
		f := features{id: id}
		f.vector[0] = float32(id)
		c.features = append(c.features, f)
	}
	if got, want := c.related(48), []int64{49, 47, 46, 45, 44, 43, 42, 41}; !slices.Equal(got, want) {
		t.Errorf("related to 48: %v, want %v", got, want)
	}
	if got := c.related(99); got != nil {
		t.Errorf("related to an unknown product: %v", got)
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
