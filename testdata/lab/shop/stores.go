package shop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/pgxpoolprometheus"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/extra/redisprometheus/v9"
	"github.com/redis/go-redis/v9"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// openPool connects to PostgreSQL with statement spans and pool statistics.
func openPool(ctx context.Context, p settings.Process, t *telemetry) (*database, error) {
	config, err := pgxpool.ParseConfig(p.Postgres)
	if err != nil {
		return nil, fmt.Errorf("parse dsn of postgres: %w", err)
	}
	config.MaxConns = int32(p.Choices.PoolSize)
	config.MinConns = min(4, config.MaxConns)
	if p.Choices.ConnLife > 0 {
		config.MaxConnLifetime = p.Choices.ConnLife
	}
	config.ConnConfig.RuntimeParams["application_name"] = p.Rename(p.Service)
	config.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(t.tracers))
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach postgres: %w", err)
	}
	t.own.MustRegister(pgxpoolprometheus.NewCollector(pool, map[string]string{"db_name": config.ConnConfig.Database}))
	return &database{pool, p.Rename, p.Choices.ConnPatience}, nil
}

// cache is a read-through cache of JSON values in Redis.
type cache struct {
	redis  *redis.Client
	hits   *prometheus.CounterVec
	misses *prometheus.CounterVec
}

// cacheLife is long against a load run: entries leave by fault, not by age.
const cacheLife = 10 * time.Minute

// entry of the cache.
type entry struct {
	name, key string
	life      time.Duration // 0: cacheLife
}

func openCache(p settings.Process, t *telemetry) (*cache, error) {
	client := redis.NewClient(&redis.Options{Addr: p.Redis, PoolSize: 32})
	if err := redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(t.tracers)); err != nil {
		return nil, fmt.Errorf("instrument redis: %w", err)
	}
	c := &cache{
		redis:  client,
		hits:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cache_hits_total", Help: "Lookups that found a value."}, []string{"cache"}),
		misses: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cache_misses_total", Help: "Lookups that found none."}, []string{"cache"}),
	}
	t.own.MustRegister(c.hits, c.misses, redisprometheus.NewCollector("", "redis", client))
	return c, nil
}

// readThrough returns the value under key, or loads and stores it. A cache
// that fails is a cache that missed.
func readThrough[T any](ctx context.Context, c *cache, e entry, load func(context.Context) (T, error)) (T, error) {
	var value T
	text, err := c.redis.Get(ctx, e.name+":"+e.key).Bytes()
	if err == nil && json.Unmarshal(text, &value) == nil {
		c.hits.WithLabelValues(e.name).Inc()
		return value, nil
	}
	c.misses.WithLabelValues(e.name).Inc()
	if err != nil && !errors.Is(err, redis.Nil) && ctx.Err() != nil {
		return value, ctx.Err()
	}
	if value, err = load(ctx); err != nil {
		return value, err
	}
	text, err = json.Marshal(value)
	if err != nil {
		return value, fmt.Errorf("encode %s: %w", e.name, err)
	}
	c.redis.Set(ctx, e.name+":"+e.key, text, cmp.Or(e.life, cacheLife))
	return value, nil
}
