package analyzers_test

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// The traces of every recorded run were drawn by culprit itself, evenly over
// time and weighted back: they agree with the histograms, and are left alone.
func TestAGoodSampleKeepsItsWeights(t *testing.T) {
	runs, err := filepath.Glob("../testdata/scenarios/*/run.culprit")
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d recorded runs, %v", len(runs), err)
	}
	for _, path := range runs {
		if notes := weighed(analyzers.Run(recordedRun(t, path))); len(notes) > 0 {
			t.Errorf("%s: %q", filepath.Base(filepath.Dir(path)), notes)
		}
	}
}

// A collector that keeps the slow requests and few of the others leaves a
// sample that speaks for the slow alone. With the histogram it speaks for all.
func TestABiasedSampleIsWeighedByTheHistogram(t *testing.T) {
	for _, scenario := range []string{"healthy", "n-plus-one", "missing-index", "pool-saturation"} {
		t.Run(scenario, func(t *testing.T) {
			b := recordedRun(t, "../testdata/scenarios/"+scenario+"/run.culprit")
			whole := analyzers.Run(b).Facts
			bounds := middles(whole.Traces)
			keepMostlySlow(b, bounds)
			r := analyzers.Run(b)
			if len(weighed(r)) == 0 {
				t.Fatal("the bias went unnoticed")
			}
			// a histogram knows nothing within a bucket: all operations together
			before, after := 0.0, 0.0
			for e := range bounds {
				truth := median(whole.Traces, e, true)
				before += math.Abs(median(r.Facts.Traces, e, false)/truth - 1)
				after += math.Abs(median(r.Facts.Traces, e, true)/truth - 1)
			}
			if n := float64(len(bounds)); before < 0.2*n || after > before/2 {
				t.Errorf("the medians of the biased sample are off by %.0f %%, weighed by %.0f %%", 100*before/n, 100*after/n)
			}
		})
	}
}

func recordedRun(t *testing.T, path string) *evidence.Bundle {
	t.Helper()
	b, err := bundle.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func weighed(r *analyzers.Result) []string {
	return slices.DeleteFunc(slices.Clone(r.Notes), func(n string) bool { return !strings.Contains(n, "were weighed by the histogram") })
}

func rootDuration(t *analyzers.Trace) float64 { return float64(t.Spans[t.Root].Duration()) }

// median of an operation's root durations, in ns, weighted or not.
func median(traces []*analyzers.Trace, e evidence.Entity, weighted bool) float64 {
	var own []*analyzers.Trace
	all := 0.0
	weight := func(t *analyzers.Trace) float64 {
		if weighted {
			return t.Weight
		}
		return 1
	}
	for _, t := range traces {
		if t.Entity() == e {
			own = append(own, t)
			all += weight(t)
		}
	}
	slices.SortFunc(own, func(a, b *analyzers.Trace) int { return int(rootDuration(a) - rootDuration(b)) })
	sum := 0.0
	for _, t := range own {
		if sum += weight(t); sum >= all/2 {
			return rootDuration(t)
		}
	}
	return 0
}

// middles are the median root durations of the operations with traces enough.
func middles(traces []*analyzers.Trace) map[evidence.Entity]float64 {
	counts := map[evidence.Entity]int{}
	for _, t := range traces {
		counts[t.Entity()]++
	}
	out := map[evidence.Entity]float64{}
	for e, n := range counts {
		if n >= 100 {
			out[e] = median(traces, e, true)
		}
	}
	return out
}

// keepMostlySlow drops nine of ten of the traces below the middle, and the
// weights of all.
func keepMostlySlow(b *evidence.Bundle, bounds map[evidence.Entity]float64) {
	dropped := map[evidence.TraceID]bool{}
	for _, t := range analyzers.BuildTraces(b) {
		if rootDuration(t) < bounds[t.Entity()] && t.ID[15]%10 > 0 {
			dropped[t.ID] = true
		}
	}
	b.Spans = slices.DeleteFunc(slices.Clone(b.Spans), func(s evidence.Span) bool { return dropped[s.Trace] })
	b.Weights = nil
}
