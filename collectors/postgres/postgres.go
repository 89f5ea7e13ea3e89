// Package postgres reads a PostgreSQL server's own account of a load run: the
// difference of its statistics before and after, the active sessions sampled in
// between, what its tables and indexes are, and which index a slow statement
// lacks according to the server's own planner.
//
// It uses at most two connections, read-only, with timeouts, named culprit. It
// never resets statistics, never runs or analyzes a statement of somebody
// else, creates nothing, ends nobody's session, and keeps no literal of a
// query and no word of the DSN but host, port and database.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

const source = "postgres"

// Config says which server to read and how hard.
type Config struct {
	DSN      string              // postgres:// URL or key=value pairs; libpq's environment variables fill the gaps
	Hz       float64             // samples of pg_stat_activity a second, 0.1..50; 0: 10
	Timeout  time.Duration       // of one question to the server; 0: 5 s
	Settle   time.Duration       // longest wait after the window for the server to flush its counters; 0: 11 s; below 0: none
	Explain  bool                // ask the planner about slow statements, with and without the index they seem to lack
	Progress collectors.Reporter // told of progress; may be nil
}

// Collector reads one server. It is not safe for concurrent use.
type Collector struct {
	config  Config
	target  string
	session *session // snapshots and plans
	sampler *sampler // nil before Begin
	before  *snapshot
	failed  error // why Begin has no snapshot
}

var (
	_ collectors.Collector = (*Collector)(nil)
	_ collectors.Beginner  = (*Collector)(nil)
	_ collectors.Checker   = (*Collector)(nil)
)

// New checks the configuration; it does not connect. Its errors never quote
// the DSN.
func New(c Config) (*Collector, error) {
	if c.Hz == 0 {
		c.Hz = 10
	}
	if !(c.Hz >= 0.1 && c.Hz <= 50) {
		return nil, fmt.Errorf("postgres: %g samples a second is outside 0.1 to 50", c.Hz)
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Settle == 0 {
		c.Settle = 11 * time.Second
	}
	config, err := parseDSN(c.DSN)
	if err != nil {
		return nil, err
	}
	return &Collector{config: c, target: target(config), session: newSession(config, c.Timeout)}, nil
}

// Name of the source.
func (c *Collector) Name() string { return source }

// Provides lists what Collect may bring.
func (c *Collector) Provides() []evidence.Kind {
	return []evidence.Kind{
		evidence.PGStatements, evidence.PGActivity, evidence.PGTables, evidence.PGIndexes, evidence.PGDatabase,
		evidence.PGSettings, evidence.PGBlocking, evidence.PGIndexAdvice, evidence.DBConnections, evidence.DBConnectionsMax,
	}
}

// Begin takes the first snapshot and starts sampling. Both connections are
// opened here because a saturated server refuses later ones. An error means
// that there is no first snapshot; Collect may be called all the same.
func (c *Collector) Begin(ctx context.Context) error {
	if c.sampler != nil {
		return errors.New("postgres: begun twice")
	}
	c.tell("first snapshot", false, nil)
	before, err := takeSnapshot(ctx, c.session)
	if err != nil {
		c.failed = fmt.Errorf("postgres %s: first snapshot: %w", c.target, c.session.plain(err))
		return c.failed
	}
	c.before = before
	c.sampler = startSampler(ctx, newSession(c.session.config, c.config.Timeout), c.config.Hz, before.caps)
	return nil
}

// Collect stops the sampler, waits for the server to flush its counters, and
// gives the difference of the snapshots. Activity is cut to the window. Where
// Begin was not called, or failed, there is one snapshot: Subset is set.
func (c *Collector) Collect(ctx context.Context, w evidence.Window) (*evidence.Bundle, error) {
	start := time.Now()
	seen := c.sampler.finish()
	defer c.Close()
	a := newAccount(c, w)
	if c.failed != nil {
		a.note("no first snapshot: %s", c.failed)
	}
	a.addActivity(seen)
	after, err := c.secondSnapshot(ctx, w)
	switch {
	case err != nil && len(seen.ticks) == 0:
		err = fmt.Errorf("postgres %s: %w", c.target, c.session.plain(err))
		c.tell("", true, err)
		return nil, err
	case err != nil:
		a.lostSnapshot(c.before, c.session.plain(err))
	default:
		a.addSnapshots(c.before, after)
		c.describe(ctx, a, after)
	}
	a.bundle.Sources[0].Seconds = time.Since(start).Seconds()
	a.finish(c.session, seen)
	c.tell(fmt.Sprintf("%d statements, %d samples", len(a.pg.Statements), a.pg.Ticks), true, nil)
	return a.bundle, nil
}

// secondSnapshot reads statements at once, because they are complete at a
// statement's end, and the rest when sessions have flushed their counters.
func (c *Collector) secondSnapshot(ctx context.Context, w evidence.Window) (*snapshot, error) {
	c.tell("second snapshot", false, nil)
	s, err := beginSnapshot(ctx, c.session)
	if err != nil {
		return nil, err
	}
	c.settle(ctx, w)
	return s, s.complete(ctx, c.session)
}

// describe adds what needs the second snapshot: texts, shapes, plans.
func (c *Collector) describe(ctx context.Context, a *account, after *snapshot) {
	c.tell("statements, tables, indexes", false, nil)
	a.addTexts(ctx, c.session, after.caps)
	a.addShapes(ctx, c.session, after.caps)
	a.addHousekeeping(ctx, c.session, after.caps)
	a.addSettings(ctx, c.session)
	c.tell("index advice", false, nil)
	a.addAdvice(ctx, c.session, after.caps, c.config.Explain)
}

// Close ends sampling and both connections. Collect does so itself.
func (c *Collector) Close() {
	c.sampler.finish()
	c.session.close()
}

func (c *Collector) tell(text string, end bool, err error) {
	if c.config.Progress != nil {
		c.config.Progress(collectors.Event{Source: source, Text: text, End: end, Err: err})
	}
}

// Counters of tables, indexes and the database reach shared memory at most
// once a second while a session works, and when it has been idle for ten
// (PGSTAT_MIN_INTERVAL, PGSTAT_IDLE_INTERVAL of pgstat.c).
const (
	flushBusy = 2 * time.Second
	flushIdle = 10500 * time.Millisecond
)

// settle waits until the counters of the window are in, no longer than
// Config.Settle after its end.
func (c *Collector) settle(ctx context.Context, w evidence.Window) {
	deadline := w.End.Add(c.config.Settle)
	wait(ctx, min(flushBusy, time.Until(deadline)))
	ages, err := rows(ctx, c.session, pgx.RowTo[float64], idleAgeSQL, flushIdle.Seconds())
	if err != nil || len(ages) == 0 {
		return
	}
	left := flushIdle - time.Duration(ages[0]*float64(time.Second))
	wait(ctx, min(left, time.Until(deadline)))
}

// idleAgeSQL gives the age in s of the youngest idle session that may still
// hold counters back; no row where there is none.
const idleAgeSQL = `select /* culprit */ min(age) from (
 select extract(epoch from clock_timestamp() - state_change)::float8 as age from pg_catalog.pg_stat_activity
 where datname = current_database() and backend_type = 'client backend' and state = 'idle' and application_name <> 'culprit') s
where age < $1 having min(age) is not null`

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
