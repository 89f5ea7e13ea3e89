package prometheus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// probedNames go into one request for series.
	probedNames = 20
	// probedSeries of one such request are read: enough to learn labels.
	probedSeries = 20_000
	// intervalRange is how far back scrapes are looked at for their interval.
	intervalRange = 5 * time.Minute
	// fallbackInterval is assumed where no two samples were found: the default
	// of Prometheus.
	fallbackInterval = time.Minute
)

// probe is what the series of a metric look like.
type probe struct {
	actual map[string]string // label names: as the catalogue spells them, as the server does
	sets   []labels
	capped bool // there are more series than were read
}

func (p *probe) has(label string) bool { return p.actual[label] != "" }

func (p *probe) add(l labels) {
	p.sets = append(p.sets, l)
	for _, x := range l {
		if n := normalise(x.Name); p.actual[n] == "" {
			p.actual[n] = x.Name
		}
	}
}

// reader gives a series' labels by the catalogue's spelling.
func (p *probe) reader(l labels) func(string) string {
	return func(name string) string { return l.get(p.actual[name]) }
}

// values of a label, sorted.
func (p *probe) values(label string) []string {
	var out []string
	for _, l := range p.sets {
		if v := l.get(p.actual[label]); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// probeSeries learns the labels of metrics, many to a request.
func (r *run) probeSeries(ctx context.Context, names []string) (map[string]*probe, error) {
	probes := map[string]*probe{}
	for chunk := range slices.Chunk(names, probedNames) {
		capped, err := r.probeChunk(ctx, chunk, probes)
		if err != nil {
			return probes, err
		}
		if !capped || len(chunk) == 1 {
			continue
		}
		// One metric with very many series hid the others: ask one by one.
		for _, name := range chunk {
			if probes[name] == nil || probes[name].capped {
				if _, err := r.probeChunk(ctx, []string{name}, probes); err != nil {
					return probes, err
				}
			}
		}
	}
	return probes, nil
}

func (r *run) probeChunk(ctx context.Context, names []string, probes map[string]*probe) (bool, error) {
	var selectors []string
	for _, n := range names {
		delete(probes, n)
		selectors = append(selectors, selector(n, ""))
	}
	got, err := r.series(ctx, selectors, r.window, probedSeries)
	if err != nil {
		return false, fmt.Errorf("list series: %w", err)
	}
	r.heard(got, r.catalogue.provides()...)
	for _, s := range got.Series {
		name := s.Labels.get("__name__")
		if probes[name] == nil {
			probes[name] = &probe{actual: map[string]string{}}
		}
		probes[name].add(s.Labels)
	}
	for _, n := range names {
		if probes[n] != nil {
			probes[n].capped = got.Truncated
		}
	}
	return got.Truncated, nil
}

// intervals of scraping, by job, from the times of the samples themselves.
func (r *run) intervals(ctx context.Context) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	if !r.have["up"] {
		return out, nil
	}
	got, err := r.query(ctx, "up["+promDuration(intervalRange)+"]", r.window.End, 2_000)
	if err != nil {
		return out, fmt.Errorf("probe the scrape interval: %w", err)
	}
	byJob := map[string][]int64{}
	for _, s := range got.Series {
		job := s.Labels.get("job")
		byJob[job] = append(byJob[job], distances(s.Times)...)
	}
	for job, d := range byJob {
		if i := median(d); i > 0 {
			out[job] = i
		}
	}
	return out, nil
}

// sampleInterval looks at a job's samples of a metric: for what is pushed, and
// for containers, whose samples carry the time of their own measurement. Of
// very many series one speaks for all.
func (r *run) sampleInterval(ctx context.Context, metric string, p *probe, job string) (time.Duration, error) {
	matchers := ""
	if job != "" {
		matchers = fmt.Sprintf("%s=%q", labelRef(p.actual["job"]), job)
	}
	if len(p.sets) > manySeries {
		matchers = exactly(p.sets[0])
	}
	got, err := r.query(ctx, selector(metric, matchers)+"["+promDuration(intervalRange)+"]", r.window.End, 200)
	if err != nil {
		return 0, fmt.Errorf("probe the interval of %s: %w", metric, err)
	}
	var d []int64
	for _, s := range got.Series {
		d = append(d, distances(s.Times)...)
	}
	return median(d), nil
}

// manySeries of one metric are not read for their times.
const manySeries = 2_000

// exactly selects one series.
func exactly(l labels) string {
	var out []string
	for _, x := range l {
		if x.Name != "__name__" {
			out = append(out, fmt.Sprintf("%s=%q", labelRef(x.Name), x.Value))
		}
	}
	return strings.Join(out, ",")
}

func distances(times []int64) []int64 {
	var out []int64
	for i := 1; i < len(times); i++ {
		out = append(out, times[i]-times[i-1])
	}
	return out
}

// median in ms as a duration, rounded to 100 ms: scrapes jitter by a few ms.
func median(d []int64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	m := time.Duration(d[len(d)/2]) * time.Millisecond
	if m < time.Second {
		return m
	}
	return m.Round(100 * time.Millisecond)
}

// promDuration spells a duration in PromQL.
func promDuration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// clamp keeps the window's end out of the future, where nothing is yet.
func clamp(w evidence.Window, now time.Time) evidence.Window {
	if w.End.After(now) {
		w.End = now
	}
	return w
}
