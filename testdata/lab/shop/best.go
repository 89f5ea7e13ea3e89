package shop

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
)

const bestSQL = `SELECT p.id, p.name, p.cents, avg(r.rating)::float8 AS rating, count(*) AS review_count
FROM products p JOIN reviews r ON r.product_id = p.id
WHERE r.created_at < now()
GROUP BY p.id, p.name, p.cents ORDER BY rating DESC, review_count DESC, p.id LIMIT 24`

// best answers with the best rated products of the whole shop: one entry of
// the cache that everybody asks for, and dear to compute.
func (c *catalog) best(w http.ResponseWriter, r *http.Request) {
	products, err := readThrough(r.Context(), c.cache, entry{name: "best", key: "all", life: c.choices.BestLife}, func(ctx context.Context) ([]listed, error) {
		rows, _ := c.db.Query(ctx, bestSQL)
		return pgx.CollectRows(rows, pgx.RowToStructByName[listed])
	})
	answer(w, products, err)
}

// review is one customer's word on a product.
type review struct {
	ID      int64  `db:"id"`
	Product int64  `db:"product_id"`
	Rating  int16  `db:"rating"`
	Body    string `db:"body"`
}

// loadReviews takes all reviews into memory, by product: a copy of a table, as
// is kept in the hope of sparing the database.
func loadReviews(ctx context.Context, db *database) (map[int64][]*review, error) {
	rows, _ := db.Query(ctx, "SELECT id, product_id, rating, body FROM reviews")
	all, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[review])
	if err != nil {
		return nil, fmt.Errorf("load reviews: %w", err)
	}
	byProduct := map[int64][]*review{}
	for _, r := range all {
		byProduct[r.Product] = append(byProduct[r.Product], r)
	}
	return byProduct, nil
}
