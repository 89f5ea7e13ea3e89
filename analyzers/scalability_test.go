package analyzers

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// scaled is a run of two minutes, a sample every 2 s: n gives the requests in
// flight, took the time of one with so many, in s, with noise beside it.
func scaled(seed uint64, noise float64, n func(i int) float64, took func(i int, n float64) float64) *evidence.Bundle {
	random := rand.New(rand.NewPCG(seed, 1))
	start := time.Unix(1_700_000_000, 0)
	e := evidence.Entity{Service: "front", Operation: "GET /"}
	h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: e, Over: 2, Bounds: []float64{10}}
	for i := range 60 {
		in := n(i)
		r := took(i, in) * (1 + noise*random.NormFloat64())
		h.Times, h.Rates, h.Sum = append(h.Times, start.UnixMilli()+int64(i)*2000), append(h.Rates, []float64{in / r, 0}), append(h.Sum, in)
	}
	b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(2 * time.Minute)}, Histograms: []evidence.Histogram{h},
		Spans: []evidence.Span{{Service: "front", Kind: evidence.KindServer, Name: "GET /", Trace: evidence.TraceID{1}, ID: evidence.SpanID{1}, Start: start.UnixNano(), End: start.UnixNano() + 1}}}
	b.Sort()
	return b
}

func scalability(b *evidence.Bundle) *Scalability {
	return scalabilityOf(&Pass{Bundle: b, Facts: &Facts{}})
}

func gunther(sigma, kappa float64) func(int, float64) float64 {
	return func(_ int, n float64) float64 { return 0.02 * (1 + sigma*(n-1) + kappa*n*(n-1)) }
}

// steps are eight stages of the load.
func steps(i int) float64 { return 1 + 7*float64(i*8/60) }

func climb(i int) float64 { return 1 + float64(i) }

func (b Between) holds(v float64) bool { return b.Low <= v && v <= b.High }

// A run of a known law gives its constants back: the intervals are of 95 %, and
// hold the truth in nine of ten runs at least.
func TestScalabilityGivesTheLawBack(t *testing.T) {
	const sigma, kappa = 0.05, 0.0008
	peak := math.Sqrt((1 - sigma) / kappa)
	const runs = 30
	for name, n := range map[string]func(int) float64{"stages": steps, "a ramp": climb} {
		t.Run(name, func(t *testing.T) {
			var held [3]int
			for seed := range uint64(runs) {
				s := scalability(scaled(seed, 0.04, n, gunther(sigma, kappa)))
				if s.Why != "" {
					t.Fatalf("silent: %s", s.Why)
				}
				for i, ok := range []bool{s.Contend.holds(sigma), s.Coherency.holds(kappa), s.Peak.holds(peak)} {
					if ok {
						held[i]++
					}
				}
				if s.Contend.High > 2*sigma || s.Coherency.High > 2*kappa {
					t.Errorf("an interval that says nothing: %+v", s)
				}
			}
			for i, n := range held {
				if n < runs*9/10 {
					t.Errorf("%s is held by %d of %d intervals", []string{"σ", "κ", "N*"}[i], n, runs)
				}
			}
		})
	}
}

func TestScalabilityWithoutAPeak(t *testing.T) {
	s := scalability(scaled(1, 0.02, climb, gunther(0.08, 0)))
	if s.Why != "" || s.Peak.Value != 0 || !s.Bound.holds(1/(0.02*0.08)) || s.Coherency.Low > 0 {
		t.Errorf("%+v, want a bound of 625 requests/s", s)
	}
	if s := scalability(scaled(1, 0.02, climb, gunther(0, 0))); s.Why != "" || s.Peak.Value != 0 || s.Bound.Value != 0 {
		t.Errorf("%+v, want neither a peak nor a bound", s)
	}
	if s := scalability(scaled(1, 0.01, func(i int) float64 { return 1 + float64(i)/10 }, gunther(0.01, 0.0001))); s.Peak.Value != 0 {
		t.Errorf("%+v: a peak at 99, seen 7", s)
	}
}

func TestScalabilityIsSilent(t *testing.T) {
	law := gunther(0.05, 0.0008)
	for name, c := range map[string]struct {
		b   *evidence.Bundle
		why string
	}{
		"an even load":              {scaled(1, 0.04, func(int) float64 { return 20 }, law), "levels"},
		"three stages":              {scaled(1, 0.02, func(i int) float64 { return 5 + 20*float64(i/20) }, law), "levels"},
		"a load that hardly varies": {scaled(1, 0.02, func(i int) float64 { return 20 + float64(i)/2 }, law), "spans"},
		"one at a time":             {scaled(1, 0.02, func(i int) float64 { return 0.1 + float64(i)/60 }, law), "two requests in flight"},
		"a fault in the middle of it": {scaled(1, 0.02, climb, func(i int, n float64) float64 {
			if i > 30 {
				return 3 * law(i, n)
			}
			return law(i, n)
		}), "other things"},
		"it was slow for a while": {scaled(1, 0.02, climb, func(i int, n float64) float64 {
			if i > 20 && i < 30 {
				return 1.6 * law(i, n)
			}
			return law(i, n)
		}), "other things"},
		"it is nothing but noise": {scaled(1, 0.3, climb, law), "other things"},
		"a wall":                  {scaled(1, 0.02, climb, func(_ int, n float64) float64 { return 0.02 * math.Max(1, n/30) }), "other things"},
	} {
		t.Run(name, func(t *testing.T) {
			if s := scalability(c.b); s == nil || !strings.Contains(s.Why, c.why) || s.Slices != 0 {
				t.Errorf("%+v, want silence because of %q", s, c.why)
			}
		})
	}
	b := scaled(1, 0.02, climb, law)
	b.Histograms[0].Sum = nil
	if s := scalability(b); s == nil || !strings.Contains(s.Why, "mean time") {
		t.Errorf("%+v", s)
	}
	if s := scalability(&evidence.Bundle{Window: b.Window}); s != nil {
		t.Errorf("nobody saw the load: %+v", s)
	}
}

// Rates over long windows share requests: such slices are joined.
func TestScalabilitySlicesShareNoRequests(t *testing.T) {
	b := scaled(1, 0.02, climb, gunther(0.05, 0.0008))
	b.Histograms[0].Over = 10
	if s := scalability(b); s.Why == "" && s.Slices > 12 {
		t.Errorf("%d slices of 10 s in two minutes", s.Slices)
	}
}
