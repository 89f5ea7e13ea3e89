package shop

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// catalog shows products and lists them, with a cache before the database.
type catalog struct {
	db       *database
	cache    *cache
	features []features
	choices  settings.Choices
}

// features place a product among others: near ones are shown as related.
type features struct {
	id     int64
	vector [featureCount]float32
}

const (
	featureCount = 192
	relatedCount = 8
)

type product struct {
	ID          int64   `json:"id" db:"id"`
	Name        string  `json:"name" db:"name"`
	Description string  `json:"description" db:"description"`
	Cents       int64   `json:"cents" db:"cents"`
	Stock       int64   `json:"stock" db:"stock"`
	Related     []int64 `json:"related" db:"-"`
}

type listed struct {
	ID      int64   `json:"id" db:"id"`
	Name    string  `json:"name" db:"name"`
	Cents   int64   `json:"cents" db:"cents"`
	Rating  float64 `json:"rating" db:"rating"`
	Reviews int64   `json:"reviews" db:"reviews"`
}

func newCatalog(ctx context.Context, p settings.Process, t *telemetry) (routes, func(), error) {
	db, err := openPool(ctx, p, t)
	if err != nil {
		return nil, nil, err
	}
	cache, err := openCache(p, t)
	if err != nil {
		return nil, nil, err
	}
	c := &catalog{db: db, cache: cache, choices: p.Choices}
	if err := c.loadFeatures(ctx); err != nil {
		return nil, nil, err
	}
	return routes{"GET /products": c.list, "GET /products/{id}": c.show}, func() { db.Close(); _ = cache.redis.Close() }, nil
}

// show answers with one product and those like it. The product comes from the
// cache; the ranking is computed for every request, as personal ones are.
func (c *catalog) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		fail(w, badRequest{fmt.Errorf("product id: %w", err)})
		return
	}
	found, err := readThrough(r.Context(), c.cache, "product", strconv.FormatInt(id, 10), func(ctx context.Context) (product, error) {
		rows, _ := c.db.Query(ctx, "SELECT id, name, description, cents, stock FROM products WHERE id = $1", id)
		return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByNameLax[product])
	})
	if err == nil {
		found.Related = c.related(id)
	}
	answer(w, found, err)
}

// list answers with the best rated products of a category.
func (c *catalog) list(w http.ResponseWriter, r *http.Request) {
	category, err := strconv.ParseInt(r.URL.Query().Get("category"), 10, 64)
	if err != nil {
		fail(w, badRequest{fmt.Errorf("category: %w", err)})
		return
	}
	products, err := readThrough(r.Context(), c.cache, "listing", c.listingKey(r, category), func(ctx context.Context) ([]listed, error) {
		return c.bestRated(ctx, category)
	})
	answer(w, products, err)
}

// listingKey names the listing in the cache. A key that takes in the request's
// own id, as happens when a whole context is hashed, is never seen again.
func (c *catalog) listingKey(r *http.Request, category int64) string {
	key := strconv.FormatInt(category, 10)
	if c.choices.CacheKey == settings.KeyOfRequest {
		key += ":" + r.Header.Get("X-Request-Id")
	}
	return key
}

const bestRatedSQL = `SELECT p.id, p.name, p.cents, avg(r.rating)::float8 AS rating, count(*) AS reviews
FROM products p JOIN reviews r ON r.product_id = p.id
WHERE p.category_id = $1 AND r.created_at < now()
GROUP BY p.id, p.name, p.cents ORDER BY rating DESC, reviews DESC, p.id LIMIT 24`

func (c *catalog) bestRated(ctx context.Context, category int64) ([]listed, error) {
	rows, _ := c.db.Query(ctx, bestRatedSQL, category)
	return pgx.CollectRows(rows, pgx.RowToStructByName[listed])
}

// loadFeatures derives a vector from each product's columns. What the numbers
// mean does not matter, that they must be compared does.
func (c *catalog) loadFeatures(ctx context.Context) error {
	rows, _ := c.db.Query(ctx, "SELECT id FROM products ORDER BY id")
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("load features: %w", err)
	}
	c.features = make([]features, len(ids))
	for i, id := range ids {
		c.features[i].id = id
		state := uint64(id)
		for k := range c.features[i].vector {
			state = state*6364136223846793005 + 1442695040888963407
			c.features[i].vector[k] = float32(state>>40) / (1 << 24)
		}
	}
	return nil
}

// related ranks all products by the product of their vectors with that of id.
func (c *catalog) related(id int64) []int64 {
	at, found := slices.BinarySearchFunc(c.features, id, func(f features, id int64) int { return cmp.Compare(f.id, id) })
	if !found {
		return nil
	}
	type scored struct {
		id    int64
		score float32
	}
	best := make([]scored, 0, relatedCount+1)
	for i := range c.features {
		if i == at {
			continue
		}
		s := scored{c.features[i].id, dot(&c.features[at].vector, &c.features[i].vector)}
		if len(best) == relatedCount && s.score <= best[relatedCount-1].score {
			continue
		}
		place, _ := slices.BinarySearchFunc(best, s, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
		best = slices.Insert(best, place, s)
		best = best[:min(len(best), relatedCount)]
	}
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
