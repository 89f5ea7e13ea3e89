package prometheus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// maxSeries are kept of one answer.
const maxSeries = 20_000

// run is one collection.
type run struct {
	*client
	catalogue *catalogue
	progress  collectors.Reporter
	window    evidence.Window

	build   build
	have    map[string]bool // names on the server
	found   []*match
	grid    grid
	queries []query
	results []result
	where   whereabouts
	gaps    gapList
	notes   noteList
}

// result is what a query gave.
type result struct {
	query
	series     []evidence.Series
	histograms []evidence.Histogram
}

func (c *Collector) newRun(w evidence.Window) *run {
	c.client.requests.Store(0)
	return &run{client: c.client, catalogue: c.catalogue, progress: c.progress, window: clamp(w, c.now())}
}

// heard keeps what the server had to say beside the data on some kinds.
func (r *run) heard(a answer, kinds ...evidence.Kind) {
	for _, w := range a.Warnings {
		if r.partial(w, kinds) {
			continue
		}
		r.notes.add("the server warns: " + oneLine(w, 200))
	}
	for _, i := range a.Infos {
		if strings.Contains(i, "might not be a counter") {
			continue // that is guessed from the name; the catalogue knows
		}
		r.notes.add("the server notes: " + oneLine(i, 200))
	}
}

// discover finds out what is there and plans the queries.
func (r *run) discover(ctx context.Context) error {
	r.progress(collectors.Event{Source: name, Text: "looking for metrics"})
	names, err := r.metricNames(ctx, r.window)
	if err != nil {
		return err
	}
	if b, err := r.buildInfo(ctx); err == nil {
		r.build = b
	}
	r.heard(answer{Warnings: names.warnings}, r.catalogue.provides()...)
	r.have = map[string]bool{}
	for _, n := range names.names {
		r.have[n] = true
	}
	if err := r.match(ctx, names.names); err != nil {
		return err
	}
	if err := r.locate(ctx); err != nil {
		return err
	}
	return r.plan(ctx)
}

// match joins the catalogue with what is there, down to the labels.
func (r *run) match(ctx context.Context, names []string) error {
	candidates := r.catalogue.matches(names)
	var ask []string
	for _, m := range candidates {
		if n := m.probed(r.have); !slices.Contains(ask, n) {
			ask = append(ask, n)
		}
	}
	probes, err := r.probeSeries(ctx, ask)
	if err != nil {
		return err
	}
	for _, m := range candidates {
		m.probe = probes[m.probed(r.have)]
		if m.probe != nil && m.holds() {
			r.found = append(r.found, m)
		}
	}
	return nil
}

// holds reports whether the series have the labels that make them the
// family's. A bare name with a quantile label is a summary, not a native
// histogram.
func (m *match) holds() bool {
	for _, l := range slices.Concat(m.family.Labels, m.read.Labels) {
		if !m.probe.has(l) {
			return false
		}
	}
	return !m.native && m.parts == nil || !m.probe.has("quantile")
}

// plan chooses steps and windows from the intervals of scraping and writes
// the queries.
func (r *run) plan(ctx context.Context) error {
	byJob, err := r.intervals(ctx)
	if err != nil {
		return err
	}
	var paced []*match
	finest := time.Duration(0)
	for _, m := range r.found {
		parts, err := r.pace(ctx, m, byJob)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if finest == 0 || p.interval < finest {
				finest = p.interval
			}
		}
		paced = append(paced, parts...)
	}
	if finest == 0 {
		finest = fallbackInterval
	}
	r.grid = newGrid(r.window, finest)
	if r.grid.Step > max(finest, time.Second) {
		r.notes.add(fmt.Sprintf("the window is read at steps of %s, coarser than the scrape interval of %s", promDuration(r.grid.Step), promDuration(finest)))
	}
	for _, m := range paced {
		m.window = rateWindow(m.interval, r.grid)
		if m.window > r.window.Duration() {
			r.notes.add(fmt.Sprintf("%s is scraped every %s: too coarse for this window", m.family.Name, promDuration(m.interval)))
		}
		r.queries = append(r.queries, m.queries(r.grid, r.have["up"])...)
	}
	return nil
}

// pace learns how often the jobs of a match are scraped, and splits it where
// they differ: the window of rates of a job scraped every second should not be
// as long as that of one scraped every minute. What has no `+"`up`"+`, or brings
// its own times, is looked at itself; families share the answer per job.
func (r *run) pace(ctx context.Context, m *match, byJob map[string]time.Duration) ([]*match, error) {
	jobs := m.probe.values("job")
	if len(jobs) == 0 || m.probe.capped {
		jobs = []string{""}
	}
	groups := map[time.Duration][]string{}
	for _, job := range jobs {
		key := job
		if m.family.About == aboutContainer {
			key = "container of " + job
		}
		if _, ok := byJob[key]; !ok {
			own, err := r.sampleInterval(ctx, m.probed(r.have), m.probe, job)
			if err != nil {
				return nil, err
			}
			byJob[key] = max(own, byJob[job])
		}
		interval := byJob[key]
		if interval == 0 {
			interval = fallbackInterval
		}
		groups[interval] = append(groups[interval], job)
	}
	return m.split(groups), nil
}

// overWindow reports whether the query looks back over the window of rates.
func (m *match) overWindow() bool {
	return m.read.rate() || m.read.spec.Shape == shapeHistogram || m.family.About == aboutContainer || strings.Contains(m.read.Query, "$W")
}

// split makes a match for each interval, in the order of intervals. Jobs whose
// intervals are close stay together, at the longest of them.
func (m *match) split(groups map[time.Duration][]string) []*match {
	var out []*match
	for _, interval := range slices.Sorted(maps.Keys(groups)) {
		if n := len(out); n > 0 && interval <= out[n-1].shortest*5/2 {
			out[n-1].interval = interval
			out[n-1].jobs = append(out[n-1].jobs, groups[interval]...)
			continue
		}
		part := *m
		part.interval, part.shortest, part.jobs = interval, interval, groups[interval]
		out = append(out, &part)
	}
	last := out[len(out)-1]
	if len(out) == 1 || !m.overWindow() {
		last.jobs = nil // all of them: nothing to select
		return []*match{last}
	}
	return out
}

// read runs the planned queries, a few at a time, and keeps the order of the
// plan.
func (r *run) read(ctx context.Context) {
	r.results = make([]result, len(r.queries))
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done int
	)
	next := make(chan int)
	for range cap(r.slots) {
		wg.Go(func() {
			for i := range next {
				res, said, err := r.ask(ctx, r.queries[i])
				mu.Lock()
				done++
				r.results[i] = res
				r.keep(r.queries[i], said, err)
				r.progress(collectors.Event{Source: name, Text: fmt.Sprintf("queried %d of %d", done, len(r.queries)), Done: done, Total: len(r.queries)})
				mu.Unlock()
			}
		})
	}
	for i := range r.queries {
		next <- i
	}
	close(next)
	wg.Wait()
}

// ask runs one query and turns the answer into evidence. Where more series
// answer than are kept, half a distribution would be a wrong one: it is asked
// again for whole services.
func (r *run) ask(ctx context.Context, q query) (result, answer, error) {
	got, err := r.queryRange(ctx, q.text, r.grid, maxSeries)
	if err == nil && got.Truncated {
		q = q.query(byService, r.grid, r.have["up"])
		got, err = r.queryRange(ctx, q.text, r.grid, maxSeries)
		got.Series, got.Truncated = whole(got), true
	}
	if err != nil {
		return result{query: q}, got, err
	}
	res := result{query: q}
	switch {
	case q.read.spec.Shape != shapeHistogram:
		res.series = q.gather(got)
		return res, got, nil
	case q.native:
		res.histograms = q.gatherNative(got)
		return res, got, nil
	}
	res.histograms, err = r.askBuckets(ctx, q, got)
	return res, got, err
}

// whole gives the series of an answer that is complete, none of another.
func whole(a answer) []samples {
	if a.Truncated {
		return nil
	}
	return a.Series
}

// keep notes what a query had to say and what it could not give.
func (r *run) keep(q query, said answer, err error) {
	r.heard(said, q.read.Kind)
	if err != nil {
		r.gaps.add(failureGap(q.read.Kind, err))
	}
	if said.Truncated {
		r.gaps.add(evidence.Gap{Source: name, Kinds: []evidence.Kind{q.read.Kind},
			Reason: fmt.Sprintf("more than %d series answered one query: instances and operations are not kept apart", maxSeries),
			Remedy: "point culprit at a smaller tenant or aggregate the metric with a recording rule"})
	}
}
