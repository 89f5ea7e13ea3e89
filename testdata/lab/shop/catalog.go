package shop

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// catalog shows products and lists them, with a cache before the database.
type catalog struct {
	db       *database
	cache    *cache
	features []features
	reviews  map[int64][]*review
	views    *keptViews
	choices  settings.Choices
}

type product struct {
	ID          int64   `json:"id" db:"id"`
	Name        string  `json:"name" db:"name"`
	Description string  `json:"description" db:"description"`
	Cents       int64   `json:"cents" db:"cents"`
	Stock       int64   `json:"stock" db:"stock"`
	Related     []int64 `json:"related" db:"-"`
	Alike       int64   `json:"alike,omitempty" db:"-"` // the product last seen by somebody of the same taste; 0: not looked for
}

type listed struct {
	ID      int64   `json:"id" db:"id"`
	Name    string  `json:"name" db:"name"`
	Cents   int64   `json:"cents" db:"cents"`
	Rating  float64 `json:"rating" db:"rating"`
	Reviews int64   `json:"reviews" db:"review_count"`
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
	c := &catalog{db: db, cache: cache, views: &keptViews{}, choices: p.Choices}
	if c.features, err = loadFeatures(ctx, db); err != nil {
		return nil, nil, err
	}
	if c.choices.KeepReviews {
		if c.reviews, err = loadReviews(ctx, db); err != nil {
			return nil, nil, err
		}
	}
	return routes{"GET /products": c.list, "GET /products/{id}": c.show, "GET /products/best": c.best}, func() { db.Close(); _ = cache.redis.Close() }, nil
}

// show answers with one product and those like it. The product comes from the
// cache; the ranking is computed for every request, as personal ones are.
func (c *catalog) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		fail(w, badRequest{fmt.Errorf("product id: %w", err)})
		return
	}
	found, err := readThrough(r.Context(), c.cache, entry{name: "product", key: strconv.FormatInt(id, 10)}, func(ctx context.Context) (product, error) {
		rows, _ := c.db.Query(ctx, "SELECT id, name, description, cents, stock FROM products WHERE id = $1", id)
		return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByNameLax[product])
	})
	if err == nil {
		found.Related = rankings[c.choices.Ranking](c.features, id)
		found.Alike = c.alike(id)
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
	products, err := readThrough(r.Context(), c.cache, entry{name: "listing", key: c.listingKey(r, category)}, func(ctx context.Context) ([]listed, error) {
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

const bestRatedSQL = `SELECT p.id, p.name, p.cents, avg(r.rating)::float8 AS rating, count(*) AS review_count
FROM products p JOIN reviews r ON r.product_id = p.id
WHERE p.category_id = $1 AND r.created_at < now()
GROUP BY p.id, p.name, p.cents ORDER BY rating DESC, review_count DESC, p.id LIMIT 24`

func (c *catalog) bestRated(ctx context.Context, category int64) ([]listed, error) {
	rows, _ := c.db.Query(ctx, bestRatedSQL, category)
	return pgx.CollectRows(rows, pgx.RowToStructByName[listed])
}
