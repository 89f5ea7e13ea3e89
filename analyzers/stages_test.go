package analyzers

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// profiled is 90 s of load, scraped every 2 s, at the rate that a profile gives
// for each second, with 4 % of noise.
func profiled(profile func(second int) float64) *evidence.Bundle {
	random := rand.New(rand.NewPCG(7, 7))
	start := time.Unix(1_700_000_000, 0).UTC()
	h := evidence.Histogram{Kind: evidence.ServerLatency, Entity: evidence.Entity{Service: "a", Operation: "x"}, Bounds: []float64{1}, Over: 4}
	for s := 0; s < 90; s += 2 {
		h.Times = append(h.Times, start.Add(time.Duration(s)*time.Second).UnixMilli())
		h.Rates = append(h.Rates, []float64{profile(s) * (1 + 0.04*random.NormFloat64()), 0})
	}
	return &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(90 * time.Second)}, Histograms: []evidence.Histogram{h}}
}

func TestStages(t *testing.T) {
	for name, c := range map[string]struct {
		profile func(int) float64
		want    string // name, start in s, rate
	}{
		"even":             {func(int) float64 { return 50 }, ""},
		"ramp and plateau": {func(s int) float64 { return min(50, 50*float64(s)/30) }, "ramp up 0 26, plateau 30 50"},
		"and down": {func(s int) float64 { return min(50, 50*float64(s)/20, 50*float64(90-s)/20) },
			"ramp up 0 25, plateau 20 50, ramp down 70 26"},
		"steps": {func(s int) float64 { return float64(20 + 40*(s/30)) }, "plateau 0 20, plateau 30 60, plateau 60 100"},
		"ends early": {func(s int) float64 {
			if s < 60 {
				return 50
			}
			return 0
		}, "plateau 0 50, idle 60 0"},
		"nothing": {func(int) float64 { return 0 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := profiled(c.profile)
			var got []string
			stages := stagesOf(b)
			for i, s := range stages {
				got = append(got, fmt.Sprintf("%s %d %.0f", s.Name, (s.Start-b.Window.Start.UnixMilli())/1000, s.Target))
				if i > 0 && s.Start != stages[i-1].End {
					t.Errorf("a stage starts at %d, the one before ends at %d", s.Start, stages[i-1].End)
				}
			}
			if !sameStages(strings.Join(got, ", "), c.want) {
				t.Errorf("%s; want %s", strings.Join(got, ", "), c.want)
			}
		})
	}
}

// sameStages compares with starts within two bins and rates within a tenth of
// the peak.
func sameStages(got, want string) bool {
	a, b := strings.Split(got, ", "), strings.Split(want, ", ")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := stageText(a[i]), stageText(b[i])
		if x.name != y.name || abs(x.start-y.start) > 4 || abs(x.rate-y.rate) > 5 {
			return false
		}
	}
	return true
}

type stageWords struct {
	name        string
	start, rate int
}

func stageText(s string) (w stageWords) {
	fields := strings.Fields(s)
	if len(fields) < 3 {
		return w
	}
	w.name = strings.Join(fields[:len(fields)-2], " ")
	fmt.Sscan(fields[len(fields)-2], &w.start)
	fmt.Sscan(fields[len(fields)-1], &w.rate)
	return w
}

func abs(n int) int { return max(n, -n) }

// The generator's own rate comes before that of the services, and of those the
// ones that requests enter by.
func TestStagesFromTheEntry(t *testing.T) {
	b := profiled(func(s int) float64 { return min(50, 50*float64(s)/30) })
	deep := profiled(func(int) float64 { return 500 }).Histograms[0]
	deep.Entity.Service = "deep"
	b.Histograms = append(b.Histograms, deep)
	b.Spans = []evidence.Span{{Service: "a", Kind: evidence.KindServer, ID: evidence.SpanID{1}}, {Service: "deep", Kind: evidence.KindServer, Parent: evidence.SpanID{1}}}
	if s := stagesOf(b); len(s) != 2 || s[1].Target > 60 {
		t.Errorf("by the entry: %+v", s)
	}
	b.Series = []evidence.Series{{Kind: evidence.LoadSent, Times: deep.Times, Values: make([]float64, len(deep.Times))}}
	for i := range deep.Times {
		b.Series[0].Values[i] = 30
	}
	if s := stagesOf(b); s != nil {
		t.Errorf("by the generator: %+v", s)
	}
}
