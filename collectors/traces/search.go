package traces

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	atOnce       = 3   // requests
	perOperation = 300 // traces of one root operation
	maxTargets   = 60  // root operations searched
	maxSlices    = 12  // of the window
	maxServices  = 200 // looked at
	pilotDepth   = 20
	tailFrom     = 0.9 // quantile of an operation's durations from which the slow band begins, and each of its levels
	tailLeast    = 10  // durations needed to know that quantile
	maxLevels    = 3   // of the slow band: a tenth, a hundredth and a thousandth of the requests
)

// search is one sampling of a store: a pilot finds the root operations, then
// every operation is asked for in every slice of the window, first whatever
// comes, then the slow ones. One large query would give the newest traces, or
// whatever the store's index puts first.
//
// Of the slow ones there may be more than are asked for, too, and the slowest
// come in bursts that the newest few miss. So the slowest tenth of what came is
// asked for by itself, and of these again, until a slice has no more than was
// asked for (multilevel splitting: Kahn and Harris, Estimation of Particle
// Transmission by Random Sampling, 1951).
type search struct {
	cfg     *Config
	store   store
	builder *builder
	meter   *meter

	mu        sync.Mutex
	sample    sample
	targets   []*target
	exemplars int   // traces kept because the metrics named them
	failed    int   // requests
	err       error // the first of theirs
	stopped   error // why the search ended before its plan
	notes     []string
}

// target is one root operation.
type target struct {
	service, operation string // as the store spells them
	name               string // of its spans, once normalised
	pilot              int    // traces of it in the pilot
	base               []int64
	drawn              []draw
	cut                []bool  // per slice: there was more than was asked for
	levels             []level // of the slow band; none where its beginning is not known
}

// level is a part of the slow band: all that is at least so slow.
type level struct {
	threshold int64   // ns
	answered  []int64 // durations of what came, seen before or not
	cut       []bool  // per slice: there was more than was asked for
}

// draw is one trace kept for a target.
type draw struct {
	trace    evidence.TraceID
	duration int64
}

func newSearch(cfg *Config, st store, b *builder, m *meter) *search {
	s := &search{cfg: cfg, store: st, builder: b, meter: m}
	s.sample = sample{maxTraces: cfg.MaxTraces, maxSpans: cfg.MaxSpans, seen: map[evidence.TraceID]bool{}}
	return s
}

// run carries out the plan. The error is non-nil only if nothing was learned.
func (s *search) run(ctx context.Context, w evidence.Window) error {
	services, err := s.services(ctx)
	if err != nil {
		return err
	}
	s.pilot(ctx, services, w)
	if len(s.targets) == 0 && s.err != nil {
		return s.err
	}
	p := newPlan(w, len(s.targets), s.cfg.MaxTraces)
	s.each(ctx, "sampled", p.baseJobs(s.targets), s.draw)
	s.aim()
	s.each(ctx, "fetched", s.exemplarJobs(ctx, w), s.drawExemplar)
	for n := range p.levels {
		if n > 0 {
			s.climb()
		}
		s.each(ctx, "sampled slow", p.tailJobs(s.targets, n+1), s.drawSlow)
	}
	if len(s.sample.spans) == 0 && s.err != nil {
		return s.err
	}
	return nil
}

// services lists what to search: those configured, or all but the store's own.
func (s *search) services(ctx context.Context) ([]string, error) {
	if len(s.cfg.Services) > 0 {
		return s.cfg.Services, nil
	}
	all, err := s.store.Services(ctx)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(all), isObserver)
	if len(others) == 0 {
		others = all
	}
	if n := len(all) - len(others); n > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%d services of the trace store itself were left out", n))
	}
	slices.Sort(others)
	if len(others) > maxServices {
		s.notes = append(s.notes, fmt.Sprintf("%d of %d services were searched, the first by name: name those of interest", maxServices, len(others)))
		others = others[:maxServices]
	}
	return others, nil
}

// isObserver tells the trace store's own services: their traces are of our
// searching, not of the load.
func isObserver(service string) bool {
	return slices.Contains([]string{"jaeger", "jaeger-query", "jaeger-all-in-one", "jaeger-collector", "zipkin-server"}, service)
}

// pilot finds the root operations: a few traces of every service tell which
// services requests enter by, whose server operations are then the targets.
func (s *search) pilot(ctx context.Context, services []string, w evidence.Window) {
	jobs := make([]job, len(services))
	for i, service := range services {
		jobs[i] = job{query: query{service: service, window: w, depth: pilotDepth}}
	}
	counts := map[[2]string]int{} // service and span name of roots
	s.each(ctx, "looked at", jobs, func(j job, traces []found) {
		for _, t := range traces {
			for _, r := range t.entries(j.service, len(s.cfg.Services) > 0) {
				counts[[2]string{r.Service, r.Name}]++
			}
		}
	})
	for _, service := range services {
		s.addTargets(ctx, service, counts)
	}
	slices.SortFunc(s.targets, func(a, b *target) int {
		return cmp.Or(cmp.Compare(b.pilot, a.pilot), cmp.Compare(a.service, b.service), cmp.Compare(a.operation, b.operation))
	})
	if len(s.targets) > maxTargets {
		s.notes = append(s.notes, fmt.Sprintf("%d of %d root operations were searched, the most frequent", maxTargets, len(s.targets)))
		s.targets = s.targets[:maxTargets]
	}
}

// entries are the spans of a service by which a request enters what is
// searched: roots of traces; where services are configured, their server spans.
func (t *found) entries(service string, configured bool) []*evidence.Span {
	var out []*evidence.Span
	for _, r := range t.roots() {
		if r.Service == service {
			out = append(out, r)
		}
	}
	for i := range t.spans {
		if sp := &t.spans[i]; configured && sp.Service == service && sp.Kind == evidence.KindServer {
			out = append(out, sp)
		}
	}
	return out
}

// addTargets takes the operations of a service by which requests enter: those
// the pilot saw, and its other server operations. Where the store cannot list
// them, the names of the spans must do.
func (s *search) addTargets(ctx context.Context, service string, counts map[[2]string]int) {
	names := namesOf(service, counts)
	if len(names) == 0 {
		return
	}
	operations, err := s.store.Operations(ctx, service)
	s.note(err)
	known := map[string]bool{} // an operation with two kinds is listed twice
	for _, o := range operations {
		s.builder.Lock()
		name := s.builder.name(o.name)
		s.builder.Unlock()
		n := counts[[2]string{service, name}]
		if known[o.name] || n == 0 && o.kind != "server" && o.kind != "consumer" {
			continue
		}
		known[o.name], known[name] = true, true
		s.targets = append(s.targets, &target{service: service, operation: o.name, name: name, pilot: n})
	}
	for _, name := range names {
		if !known[name] {
			s.targets = append(s.targets, &target{service: service, operation: name, name: name, pilot: counts[[2]string{service, name}]})
		}
	}
}

func namesOf(service string, counts map[[2]string]int) []string {
	var out []string
	for p := range counts {
		if p[0] == service {
			out = append(out, p[1])
		}
	}
	slices.Sort(out)
	return out
}

// note keeps the first error of a request that was not the end of the search.
func (s *search) note(err error) {
	if err == nil {
		return
	}
	s.failed++
	if s.err == nil {
		s.err = err
	}
}

// job is one request: a search, or where trace is set for that trace, which
// was in the window.
type job struct {
	query
	target *target
	slice  int
	trace  evidence.TraceID
}

// each runs jobs, a few at once, and takes their traces in one after another.
// What arrived before an error is used.
func (s *search) each(ctx context.Context, doing string, jobs []job, take func(job, []found)) {
	next := make(chan job)
	var workers sync.WaitGroup
	done := 0
	for range atOnce {
		workers.Go(func() {
			for j := range next {
				spans, err := s.ask(ctx, j)
				s.mu.Lock()
				s.settle(ctx, err)
				take(j, byTrace(spans))
				done++
				s.cfg.Progress(collectors.Event{Source: "traces", Text: fmt.Sprintf("%s %d of %d, %d spans", doing, done, len(jobs), len(s.sample.spans)), Done: done, Total: len(jobs)})
				s.mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		if s.ended() {
			break
		}
		next <- j
	}
	close(next)
	workers.Wait()
}

// settle files the error of a request: some end the search, others are counted.
func (s *search) settle(ctx context.Context, err error) {
	switch {
	case err == nil:
	case errors.Is(err, errSuffering), errors.Is(err, errBytes):
		s.stopped = cmp.Or(s.stopped, err)
	case ctx.Err() != nil:
		s.stopped = cmp.Or(s.stopped, fmt.Errorf("stopped: %w", context.Cause(ctx)))
		s.note(err)
	default:
		s.note(err)
	}
}

func (s *search) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped != nil || s.sample.full()
}

// plan divides the window and the budget of traces.
type plan struct {
	slices []evidence.Window // in an order that spreads over the window from the start
	share  int               // traces of a target
	base   int               // of these asked for in a slice, whatever their duration
	levels int               // of the slow band, over which the others go
}

// newPlan gives each target its share of the traces, half to what comes and half
// to what is slow, over as many levels as leave two traces to each.
func newPlan(w evidence.Window, targets, maxTraces int) plan {
	share := min(perOperation, max(maxTraces/max(targets, 1), 6))
	n := int64(min(maxSlices, share/6))
	var p plan
	for _, i := range spread(int(n)) {
		p.slices = append(p.slices, evidence.Window{Start: border(w, i, int(n)), End: border(w, i+1, int(n))})
	}
	p.share, p.base = share, max(1, share/2/int(n))
	p.levels = max(1, min(maxLevels, p.base/2))
	return p
}

// border is where slice i of n begins: off the even cut by up to a quarter of a
// slice, by the golden ratio. Stores give the newest of a slice first, and what
// comes at even intervals, as a scrape or an expiry does, would always be met,
// or never.
func border(w evidence.Window, i, n int) time.Time {
	if i == n {
		return w.End
	}
	at := float64(i)
	if i > 0 {
		_, off := math.Modf(float64(i) * math.Phi)
		at += (off - 0.5) / 2
	}
	return w.Start.Add(time.Duration(at / float64(n) * float64(w.Duration())))
}

// spread orders 0..n-1 by van der Corput's sequence in base 2, so that any
// beginning of the order covers the whole evenly.
func spread(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(bits.Reverse32(uint32(a)), bits.Reverse32(uint32(b)))
	})
	return order
}

// baseJobs asks every target in every slice, slice by slice, so that a search
// that is cut short has seen all targets.
func (p plan) baseJobs(targets []*target) []job {
	var out []job
	for _, t := range targets {
		t.cut = make([]bool, len(p.slices))
	}
	for i, w := range p.slices {
		for _, t := range targets {
			out = append(out, job{query: query{service: t.service, operation: t.operation, window: w, depth: p.base}, target: t, slice: i})
		}
	}
	return out
}

// tailJobs asks for the slow ones of the n-th level, from 1, wherever there was
// more than was asked for below it. The last level takes what is left of a
// target's share, each before it half of that.
func (p plan) tailJobs(targets []*target, n int) []job {
	var out []job
	for _, t := range targets {
		if len(t.levels) != n {
			continue
		}
		below := t.cut
		if n > 1 {
			below = t.levels[n-2].cut
		}
		var in []int
		for i, cut := range below {
			if cut {
				in = append(in, i)
			}
		}
		depth := max(1, (p.share-len(t.drawn))/max(1, len(in))/min(2, p.levels-n+1))
		for _, i := range in {
			q := query{service: t.service, operation: t.operation, window: p.slices[i], depth: depth, slower: time.Duration(t.levels[n-1].threshold)}
			out = append(out, job{query: q, target: t, slice: i})
		}
	}
	slices.SortStableFunc(out, func(a, b job) int { return cmp.Compare(a.slice, b.slice) })
	return out
}
