package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// PgBouncer reads the pools of a PgBouncer through its administration console,
// once a second from Begin to Collect, with SHOW commands only. The console has
// no past: without Begin there is nothing but a gap.
type PgBouncer struct {
	config  Config
	target  string
	session *session
	cancel  context.CancelFunc
	done    chan struct{}
	once    sync.Once

	samples []bouncerSample // the goroutine's until done is closed
	failed  error           // the last one
	version string
}

var (
	_ collectors.Collector = (*PgBouncer)(nil)
	_ collectors.Beginner  = (*PgBouncer)(nil)
	_ collectors.Checker   = (*PgBouncer)(nil)
)

const (
	sourceBouncer = "pgbouncer"
	maxBouncer    = 100000 // samples
)

// NewPgBouncer takes the DSN of the console: database pgbouncer, a user of
// stats_users or admin_users. It does not connect.
func NewPgBouncer(c Config) (*PgBouncer, error) {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	config, err := parseDSN(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	if config.Database == "" {
		config.Database = "pgbouncer"
	}
	return &PgBouncer{config: c, target: target(config), session: newSession(config, c.Timeout)}, nil
}

// Name of the source.
func (b *PgBouncer) Name() string { return sourceBouncer }

// Provides lists what Collect may bring.
func (b *PgBouncer) Provides() []evidence.Kind {
	return []evidence.Kind{evidence.PoolUsed, evidence.PoolIdle, evidence.PoolPending, evidence.PoolMax, evidence.PoolWaitTime, evidence.PoolAcquires}
}

// Check looks once and says which pools there are.
func (b *PgBouncer) Check(ctx context.Context) (collectors.Preflight, error) {
	defer b.session.close()
	if err := b.look(ctx); err != nil {
		return collectors.Preflight{}, fmt.Errorf("pgbouncer %s: %w", b.target, b.session.plain(err))
	}
	p := collectors.Preflight{Source: evidence.Source{Name: sourceBouncer, Status: evidence.StatusOK, Target: b.target, Version: b.version, Protocol: "postgresql"}}
	pools := b.samples[len(b.samples)-1].pools
	for _, db := range slices.Sorted(maps.Keys(pools)) {
		p.Lines = append(p.Lines, fmt.Sprintf("pool of %s: at most %.0f connections, %.0f in use, %.0f clients waiting", db, pools[db].most, pools[db].used, pools[db].pending))
	}
	return p, nil
}

// bouncerSample is one look at all pools, by database over its users.
type bouncerSample struct {
	at    time.Time
	pools map[string]bouncerPool
}

// bouncerPool: gauges but for the two totals, which count since the start of
// the process.
type bouncerPool struct {
	used, idle, pending, most float64
	waited, transactions      float64 // s, 1
}

// Begin looks once and goes on every second.
func (b *PgBouncer) Begin(ctx context.Context) error {
	if err := b.look(ctx); err != nil {
		b.failed = fmt.Errorf("pgbouncer %s: %w", b.target, b.session.plain(err))
		b.session.close()
		return b.failed
	}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.done = make(chan struct{})
	go b.run(ctx)
	return nil
}

func (b *PgBouncer) run(ctx context.Context) {
	defer close(b.done)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := b.look(ctx); err != nil && ctx.Err() == nil {
			b.failed = b.session.plain(err)
			b.session.close()
		}
	}
}

// look reads the console once.
func (b *PgBouncer) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.session.timeout)
	defer cancel()
	if err := b.connect(ctx); err != nil {
		return err
	}
	s := bouncerSample{at: time.Now(), pools: map[string]bouncerPool{}}
	users := map[string]float64{}
	err := b.show(ctx, "SHOW POOLS", func(db string, n func(string) float64) {
		p := s.pools[db]
		p.used, p.idle, p.pending = p.used+n("sv_active"), p.idle+n("sv_idle")+n("sv_used"), p.pending+n("cl_waiting")
		s.pools[db] = p
		users[db]++
	})
	known := func(set func(db string, p *bouncerPool, n func(string) float64)) func(string, func(string) float64) {
		return func(db string, n func(string) float64) {
			if p, ok := s.pools[db]; ok {
				set(db, &p, n)
				s.pools[db] = p
			}
		}
	}
	if err == nil {
		err = b.show(ctx, "SHOW DATABASES", known(func(db string, p *bouncerPool, n func(string) float64) { p.most = n("pool_size") * users[db] }))
	}
	if err == nil {
		err = b.show(ctx, "SHOW STATS", known(func(_ string, p *bouncerPool, n func(string) float64) {
			p.waited, p.transactions = n("total_wait_time")/1e6, n("total_xact_count")
		}))
	}
	if err == nil && len(b.samples) < maxBouncer {
		b.samples = append(b.samples, s)
	}
	return err
}

// connect is not the session's own: the console refuses settings and speaks
// the simple protocol only.
func (b *PgBouncer) connect(ctx context.Context) error {
	if b.session.alive() {
		return nil
	}
	config := b.session.config.Copy()
	config.RuntimeParams = map[string]string{"application_name": "culprit"}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	b.session.conn = conn
	b.version = conn.PgConn().ParameterStatus("server_version")
	return nil
}

// show gives every row of a SHOW command that is about a database but the
// console itself. A column that this version lacks is 0.
func (b *PgBouncer) show(ctx context.Context, command string, row func(db string, number func(string) float64)) error {
	b.session.requests++
	results, err := b.session.conn.PgConn().Exec(ctx, command).ReadAll()
	if err != nil {
		return err
	}
	for _, r := range results {
		for _, cells := range r.Rows {
			text := func(name string) string { return cell(r.FieldDescriptions, cells, name) }
			db := text("database")
			if command == "SHOW DATABASES" {
				db = text("name")
			}
			if db == "" || db == "pgbouncer" {
				continue
			}
			row(db, func(name string) float64 {
				v, _ := strconv.ParseFloat(text(name), 64)
				return v
			})
		}
	}
	return nil
}

func cell(fields []pgconn.FieldDescription, cells [][]byte, name string) string {
	for i := range fields {
		if fields[i].Name == name {
			return string(cells[i])
		}
	}
	return ""
}

// Collect ends the sampling and gives the pools over the window.
func (b *PgBouncer) Collect(_ context.Context, w evidence.Window) (*evidence.Bundle, error) {
	start := time.Now()
	b.Close()
	series := bouncerSeries(b.samples, w)
	switch {
	case len(series) == 0 && b.failed != nil:
		return nil, fmt.Errorf("pgbouncer %s: %w", b.target, b.failed)
	case len(series) == 0:
		return &evidence.Bundle{
			Sources: []evidence.Source{{Name: sourceBouncer, Status: evidence.StatusPartial, Target: b.target}},
			Gaps: []evidence.Gap{{Source: sourceBouncer, Kinds: b.Provides(), Reason: "the pooler's console has no past, and nobody looked during the window",
				Remedy: "start the load with `culprit run ... -- COMMAND`, which looks while it runs"}},
		}, nil
	}
	src := evidence.Source{
		Name: sourceBouncer, Status: evidence.StatusOK, Target: b.target, Version: b.version, Protocol: "postgresql",
		Requests: b.session.requests, Items: len(series), Seconds: time.Since(start).Seconds(),
	}
	if b.failed != nil {
		src.Status = evidence.StatusPartial
		src.Notes = append(src.Notes, "some samples failed: "+b.failed.Error())
	}
	return &evidence.Bundle{Sources: []evidence.Source{src}, Series: series}, nil
}

// Close ends the sampling. Collect does so itself.
func (b *PgBouncer) Close() {
	b.once.Do(func() {
		if b.cancel != nil {
			b.cancel()
			<-b.done
		}
		b.session.close()
	})
}

// bouncerSeries turns samples into one series a kind and database, in the
// order of their names.
func bouncerSeries(samples []bouncerSample, w evidence.Window) (out []evidence.Series) {
	databases := map[string]bool{}
	for _, s := range samples {
		for db := range s.pools {
			databases[db] = true
		}
	}
	for _, db := range slices.Sorted(maps.Keys(databases)) {
		for _, q := range bouncerQuantities {
			if one := q.series(samples, db, w); len(one.Times) > 0 {
				out = append(out, one)
			}
		}
	}
	return out
}

// quantity of a pool. over is the s between samples where it is a total, which
// becomes a rate, and 0 for a gauge.
type quantity struct {
	kind        evidence.Kind
	unit, query string
	over        float64
	of          func(bouncerPool) float64
}

func (q quantity) series(samples []bouncerSample, db string, w evidence.Window) evidence.Series {
	out := evidence.Series{Kind: q.kind, Unit: q.unit, Query: q.query, Over: q.over,
		Entity: evidence.Entity{Resource: "pgbouncer/" + db}, Labels: map[string]string{"database": db}}
	var last *bouncerSample
	for i := range samples {
		s := &samples[i]
		pool, here := s.pools[db]
		before := last
		if !here {
			continue
		}
		last = s
		v := q.of(pool)
		if q.over > 0 {
			if before == nil || v < q.of(before.pools[db]) { // the first one, or the pooler began anew
				continue
			}
			v = (v - q.of(before.pools[db])) / s.at.Sub(before.at).Seconds()
		}
		if ms := s.at.UnixMilli(); w.Contains(ms) {
			out.Times, out.Values = append(out.Times, ms), append(out.Values, v)
		}
	}
	return out
}

var bouncerQuantities = []quantity{
	{evidence.PoolUsed, "{connection}", "SHOW POOLS: sv_active", 0, func(p bouncerPool) float64 { return p.used }},
	{evidence.PoolIdle, "{connection}", "SHOW POOLS: sv_idle + sv_used", 0, func(p bouncerPool) float64 { return p.idle }},
	{evidence.PoolPending, "{request}", "SHOW POOLS: cl_waiting", 0, func(p bouncerPool) float64 { return p.pending }},
	{evidence.PoolMax, "{connection}", "SHOW DATABASES: pool_size, times the users seen", 0, func(p bouncerPool) float64 { return p.most }},
	{evidence.PoolWaitTime, "s/s", "SHOW STATS: total_wait_time", 1, func(p bouncerPool) float64 { return p.waited }},
	{evidence.PoolAcquires, "{transaction}/s", "SHOW STATS: total_xact_count", 1, func(p bouncerPool) float64 { return p.transactions }},
}
