package analyzers

import (
	"fmt"
	"strings"
	"testing"
)

// Half of the reads miss, and a miss costs 3 ms. One in ten is held up where it
// falls back, and so is what has nothing to do with the cache: without misses
// these requests would lose 3 ms, and not what holds them up.
func TestMissIsChargedWhatMissesCost(t *testing.T) {
	request := func(took int) string {
		return fmt.Sprintf("0-%d shop server GET /products/{id}\n", took+12) + cacheGet +
			fmt.Sprintf("  8-%d shop client query | db.system.name=postgresql | db.query.text=select * from products where id = ?\n", 8+took) +
			fmt.Sprintf("  %d-%d shop client set | db.system.name=redis | db.query.text=set product:?\n\n", took+9, took+10)
	}
	const hit = "0-12 shop server GET /products/{id}\n" + cacheGet + "\n"
	for name, c := range map[string]struct {
		slow int // ms that one fall-back in ten takes
		save [2]float64
	}{
		"held up":         {slow: 900, save: [2]float64{0.001, 0.010}},
		"within its kind": {slow: 15, save: [2]float64{0.012, 0.020}},
	} {
		t.Run(name, func(t *testing.T) {
			traces := strings.Repeat(strings.Repeat(request(3)+hit, 9)+request(c.slow)+request(c.slow)+hit, 6)
			i := passOver(t, cachePath, traces)[FindCacheMissPath][0].Impact
			if i == nil || i.Saved() < c.save[0] || i.Saved() > c.save[1] {
				t.Fatalf("impact %+v", i)
			}
		})
	}
}
