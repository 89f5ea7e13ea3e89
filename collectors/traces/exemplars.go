package traces

import (
	"context"
	"fmt"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// exemplarPatience is how long the search waits for the metrics' exemplars
	// once it could use them.
	exemplarPatience = 10 * time.Second
	// maxExemplars are fetched.
	maxExemplars = 120
)

// exemplarJobs fetch the slow traces that the metrics name: no search is needed
// for them, and no store's order chose them. Only operations of which the store
// has more than was seen need them.
func (s *search) exemplarJobs(ctx context.Context, w evidence.Window) []job {
	if s.cfg.Exemplars == nil || !s.hasSlowBand() || s.ended() {
		return nil
	}
	patient, cancel := context.WithTimeout(ctx, exemplarPatience)
	defer cancel()
	var out []job
	for _, x := range s.cfg.Exemplars(patient) {
		if s.sample.seen[x.Trace] || len(out) == maxExemplars {
			continue
		}
		at := time.UnixMilli(x.At)
		out = append(out, job{trace: x.Trace, query: query{window: evidence.Window{Start: at.Add(-time.Duration(x.Value * float64(time.Second))), End: at}}})
	}
	return out
}

func (s *search) hasSlowBand() bool {
	for _, t := range s.targets {
		if t.slowFrom() > 0 {
			return true
		}
	}
	return false
}

// drawExemplar takes a trace in that the metrics named, if it is a slow one of
// an operation whose slow band is drawn by itself: only there its weight is
// known.
func (s *search) drawExemplar(j job, traces []found) {
	for _, tr := range traces {
		for _, t := range s.targets {
			if ns, ok := tr.longest(t.service, t.name); ok && tr.id == j.trace && t.slowFrom() > 0 && ns >= t.slowFrom() {
				before := len(t.drawn)
				s.keep(t, tr)
				s.exemplars += len(t.drawn) - before
				break
			}
		}
	}
}

// ask the store for what a job is about.
func (s *search) ask(ctx context.Context, j job) ([]evidence.Span, error) {
	if j.trace.IsZero() {
		return s.store.Search(ctx, j.query)
	}
	return s.store.Trace(ctx, j.trace, j.window)
}

func (s *search) exemplarNote() string {
	return fmt.Sprintf("%d slow traces were taken from the exemplars of the metrics", s.exemplars)
}
