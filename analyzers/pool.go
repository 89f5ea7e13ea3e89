package analyzers

import (
	"fmt"
	"math"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindPoolWait        Kind = "pool.wait"         // s that one acquire waits, mean while slow
	FindPoolWaitShare   Kind = "pool.wait.share"   // share of acquires that waited, 0..1
	FindPoolUse         Kind = "pool.use"          // connections in use / maximum, 0..1 (95th percentile over time)
	FindPoolOverlap     Kind = "pool.overlap"      // rank correlation of the wait with the service's own p95, 0..1
	FindPoolDBSaturated Kind = "pool.db.saturated" // the database behind the pool is at its own limit, 0..1
)

// poolSaturation measures how long callers wait for a connection, whether the
// pool is full, and whether the database behind it is at work meanwhile.
var poolSaturation = Analyzer{
	Name:     "pool-saturation",
	Doc:      "Wait for a connection from each application pool, by its own counters, or where a service's pool has none, by the spans of acquiring; the gain by taking the wait out of the traces: acquire spans where there are any, else the gap before the statement.",
	NeedsAny: []evidence.Kind{evidence.PoolMax, evidence.PoolPending, evidence.Spans},
	Uses:     []evidence.Kind{evidence.PoolWaitTime, evidence.PoolAcquires, evidence.PoolWaits, evidence.PoolUsed, evidence.PGActivity},
	Finds:    []Kind{FindPoolWait, FindPoolWaitShare, FindPoolUse, FindPoolOverlap, FindPoolDBSaturated},
	Run:      runPool,
}

// pool is one application pool's account of the window.
type pool struct {
	entity     evidence.Entity
	max        float64
	use        float64 // 95th percentile of connections in use
	meanUse    float64
	acquires   float64 // per s, mean
	wait       float64 // s an acquire, mean while slow
	waitShare  float64
	queueShare float64 // of the time in which somebody was seen to wait, 0..1
	times      []int64
	waits      []float64 // s an acquire, over time
	over       float64   // s that each of the waits is a mean over
	hasWait    bool
	hasShare   bool
	ofRequest  bool // a wait is that of a request: nobody counts acquires
	query      string
	spans      *spanSet // of its service
	isWait     func(*evidence.Span) bool
}

func runPool(p *Pass) error {
	for _, e := range p.pools() {
		if pl, ok := poolOf(p, e); ok {
			reportPool(p, pl)
		}
	}
	p.reportTracedPools()
	return nil
}

// pools that have, or once had, a limit: callers wait for no other.
func (p *Pass) pools() []evidence.Entity {
	return union(p.entitiesOf(evidence.PoolMax), p.entitiesOf(evidence.PoolPending))
}

// poolLimit is how many connections a pool may have: as it says, or, where it
// does not (node-postgres, Prisma), as many as were in use while callers waited,
// which they do for a full pool alone.
func (p *Pass) poolLimit(e evidence.Entity) (float64, bool) {
	if limit, ok := meanOf(p.seriesAt(evidence.PoolMax, e)); ok {
		return limit, limit > 0 && limit < math.MaxInt32
	}
	at, waiting := sumSeries(p.seriesAt(evidence.PoolPending, e))
	times, used := sumSeries(p.seriesAt(evidence.PoolUsed, e))
	var full []float64
	for i, n := range alignTo(times, at, waiting) {
		if n > 0 && used[i] >= 1 {
			full = append(full, used[i])
		}
	}
	return quantile(full, 0.5), len(full) >= minFull
}

// minFull scrapes of a full pool tell its size.
const minFull = 3

// poolOf reads one pool's series; false for a pool without a limit or that
// nobody used.
func poolOf(p *Pass, e evidence.Entity) (*pool, bool) {
	limit, ok := p.poolLimit(e)
	if !ok {
		return nil, false
	}
	pl := &pool{entity: e, max: limit, spans: p.Facts.serviceSpans(e.Service), isWait: isAcquire}
	_, used := sumSeries(p.seriesAt(evidence.PoolUsed, e))
	if len(used) > 0 {
		pl.use, pl.meanUse = quantile(used, 0.95), mean(used)
	}
	acquires := p.seriesAt(evidence.PoolAcquires, e)
	pl.acquires, _ = meanOf(acquires)
	pl.readWaits(p, acquires)
	if waits, ok := meanOf(p.seriesAt(evidence.PoolWaits, e)); ok && pl.acquires > 0 {
		pl.waitShare, pl.hasShare = clamp01(waits/pl.acquires), true
	}
	pl.queueShare = p.busyShare(e.Service, p.seriesAt(evidence.PoolPending, e))
	return pl, pl.acquires > 0 || pl.use > 0
}

// readWaits derives the wait of one acquire over time: seconds waited per
// second over acquires per second, or by Little's law from the callers that
// wait, where only their number is known. Where nobody counts acquires it is
// the wait of one request for all that it acquires.
func (pl *pool) readWaits(p *Pass, acquires []*evidence.Series) {
	waited := p.seriesAt(evidence.PoolWaitTime, pl.entity)
	if len(waited) == 0 {
		waited = p.seriesAt(evidence.PoolPending, pl.entity)
	}
	if len(waited) == 0 {
		return
	}
	at, rates := sumSeries(acquires)
	pl.ofRequest = len(acquires) == 0
	times, seconds := sumSeries(waited)
	for i, t := range times {
		r := valueAt(at, rates, t)
		if pl.ofRequest {
			r = p.requestRate(pl.entity.Service)
		}
		if r > 0 {
			pl.times, pl.waits = append(pl.times, t), append(pl.waits, seconds[i]/r)
		}
	}
	pl.over = waited[0].Over
	pl.query, pl.hasWait = waited[0].Query, len(pl.waits) > 0
	pl.wait = p.loadedMean(pl.entity.Service, pl.times, pl.waits)
}

func reportPool(p *Pass, pl *pool) {
	e, refs := pl.entity, []evidence.Ref{{Source: "prometheus", Query: pl.query}}
	if pl.hasWait {
		impact, hurt := p.predictWorst(pl.spans.traces, pl.cuts)
		if e.Service == "" {
			impact, hurt = p.poolerImpact(pl)
		}
		impact, hurt = p.orRough(impact, hurt, pl.rough())
		p.Report(Finding{Kind: FindPoolWait, Entity: e, Value: pl.wait, Unit: "s", Impact: impact, Victims: hurt, Refs: refs, Facts: pl.facts(),
			Text:   fmt.Sprintf("%s waits %.1f ms on average %s of its pool of %.0f", pl.owner(), pl.wait*1000, pl.waitsFor(), pl.max),
			Charts: []Chart{pl.useChart(p), {Title: "Wait for a connection", Unit: "s", Lines: []Line{{Name: "wait an acquire", Times: pl.times, Values: pl.waits}}}}})
	}
	p.reportWaits(pl, refs)
	if pl.use > 0 {
		p.Report(Finding{Kind: FindPoolUse, Entity: e, Value: pl.use / pl.max, Unit: "1", Charts: []Chart{pl.useChart(p)},
			Text: fmt.Sprintf("%.1f of %.0f connections were in use", pl.use, pl.max)})
	}
	reportPoolDB(p, pl)
}

// reportWaits tells how many waited, and whether requests are slow when they do.
func (p *Pass) reportWaits(pl *pool, refs []evidence.Ref) {
	e := pl.entity
	if pl.hasWait {
		r := p.latencyCorrelation(e.Service, pl.times, pl.waits)
		p.Report(Finding{Kind: FindPoolOverlap, Entity: e, Value: math.Max(r, 0), Unit: "1", Refs: refs,
			Text: fmt.Sprintf("the wait and the p95 of %s move together (rank correlation %.2f)", e.Service, r)})
	}
	if pl.hasShare {
		p.Report(Finding{Kind: FindPoolWaitShare, Entity: e, Value: pl.waitShare, Unit: "1", Refs: refs,
			Text: fmt.Sprintf("%.0f %% of the acquires had to wait", pl.waitShare*100)})
	}
}

func (pl *pool) waitsFor() string {
	if pl.ofRequest {
		return "in each request for the connections"
	}
	return "for each connection"
}

// rough is the wait by the pool's own counters; where they do not tell how many
// wait, all are taken to wait alike.
func (pl *pool) rough() rough {
	r := rough{service: pl.entity.Service, saved: evenly(pl.wait), method: "mean wait by the pool's own counters"}
	if pl.hasShare {
		r.saved, r.method = queued(pl.wait, pl.waitShare), "wait and share of waiting by the pool's own counters"
	} else if pl.queueShare > 0 {
		r.saved, r.method = queued(pl.wait, pl.queueShare), "wait by the pool's own counters, and how often somebody was seen to wait"
	}
	return r
}

func (pl *pool) useChart(p *Pass) Chart {
	times, values := sumSeries(p.seriesAt(evidence.PoolUsed, pl.entity))
	return Chart{Title: "Connections in use", Unit: "{connection}", Limit: pl.max, LimitName: "pool size", Lines: []Line{{Name: "in use", Times: times, Values: values}}}
}

// facts for the remedy. By Little's law the connections that arrive together
// are acquires/s times the time each is held; held is known from the use.
// Twice that keeps a queue of random arrivals short (at half use an M/M/c
// queue of 4 waits in fewer than one case in five).
func (pl *pool) facts() map[string]string {
	need := math.Max(pl.max+1, math.Ceil(2*math.Max(pl.use, pl.meanUse)))
	if queued := pl.acquires * pl.wait; queued > 0 {
		need = math.Max(need, math.Ceil(1.5*(pl.meanUse+queued)))
	}
	f := map[string]string{"pool": pl.entity.Resource, "service": pl.owner(), "max": fmt.Sprintf("%.0f", pl.max), "proposed": fmt.Sprintf("%.0f", need),
		"wait_ms": fmt.Sprintf("%.1f", pl.wait*1000), "setting": poolSetting(pl.query)}
	if pl.entity.Service == "" {
		delete(f, "pool") // the pooler is named after its pool
	}
	if pl.acquires > 0 && pl.meanUse > 0 {
		f["held_ms"] = fmt.Sprintf("%.1f", 1000*pl.meanUse/pl.acquires)
	}
	return f
}

// poolSettings names the setting that sizes a pool, by a part of its metrics'
// names.
var poolSettings = [][2]string{
	{"SHOW STATS", "`default_pool_size`, or `pool_size` of the database, in `pgbouncer.ini`"},
	{"pgxpool", "`MaxConns` (`pool_max_conns` in the DSN)"},
	{"hikaricp", "`maximumPoolSize`"},
	{"go_sql", "`SetMaxOpenConns`"},
	{"gorm_dbstats", "`SetMaxOpenConns`"},
	{"r2dbc_pool", "`maxSize`"},
	{"agroal", "`quarkus.datasource.jdbc.max-size`"},
	{"active_record", "`pool` in `database.yml`"},
	{"mongodb_driver_pool", "`maxPoolSize`"},
	{"prisma", "`connection_limit` in the URL"},
	{"redis", "`PoolSize`"},
	{"pg_pool", "`max` of the `Pool` (node-postgres)"},
	{"sqlalchemy_pool_", "`pool_size` and `max_overflow` of `create_engine`"},
}

func poolSetting(query string) string {
	for _, s := range poolSettings {
		if strings.Contains(query, s[0]) {
			return s[1]
		}
	}
	return "the pool's maximum size"
}

// cuts takes the waits out of a trace: the acquire spans of the service where
// its driver records them; where not, the gap in the caller before each
// statement, no longer than the pool's own mean wait at that time allows.
func (pl *pool) cuts(t *Trace) Cuts {
	c := t.NewCuts()
	pl.cutWaits(t, c, func(int64, int64) float64 { return 1 })
	return c
}

// cutWaits takes a share of each wait, which may differ with its time (ns).
func (pl *pool) cutWaits(t *Trace, c Cuts, share func(from, to int64) float64) {
	if acquired := pl.cutAcquireSpans(t, c, share); !acquired {
		pl.cutGaps(t, c, share)
	}
}

func (pl *pool) cutAcquireSpans(t *Trace, c Cuts, share func(from, to int64) float64) bool {
	found := false
	for _, i := range pl.spans.of(t) {
		if pl.isWait(&t.Spans[i]) {
			found = true
			t.CutSelf(c, i, int64(share(t.Spans[i].Start, t.Spans[i].End)*float64(t.SelfTime(i))))
		}
	}
	return found
}

func (pl *pool) cutGaps(t *Trace, c Cuts, share func(from, to int64) float64) {
	for _, i := range pl.spans.of(t) {
		s := &t.Spans[i]
		parent := t.Parent[i]
		if parent < 0 || !isStatement(s) {
			continue
		}
		gap := s.Start - t.gapStart(parent, s.Start)
		wait := valueAt(pl.times, pl.waits, s.Start/1e6) * 1e9
		took := min(gap, int64(2*wait))
		t.CutSelf(c, parent, int64(share(s.Start-took, s.Start)*float64(took)))
	}
}

// gapStart is when the last sibling before a time ended, or the parent's
// start.
func (t *Trace) gapStart(parent int32, before int64) int64 {
	at := t.Spans[parent].Start
	for _, c := range t.children(parent) {
		if t.Spans[c].Start >= before {
			break
		}
		if t.Spans[c].End <= before {
			at = max(at, t.Spans[c].End)
		}
	}
	return min(at, before)
}
