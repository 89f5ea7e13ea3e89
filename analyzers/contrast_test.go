package analyzers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// podded are n requests over four pods of two nodes; the share of slow ones
// depends on the pod.
func podded(seed uint64, n int, slow func(pod int) float64) string {
	r := rand.New(rand.NewPCG(seed, 0))
	var text strings.Builder
	for range n {
		pod, took := r.IntN(4), 20.0
		if r.Float64() < slow(pod) {
			took = 100
		}
		fmt.Fprintf(&text, "0-%g shop server GET /list | k8s.node.name=n%d | k8s.pod.name=p%d | instance=i%d\n  1-%g shop client q | db.system.name=postgresql | server.address=db | error.type=e%d\n\n",
			took+r.Float64(), pod/2, pod, pod, took-1, r.IntN(2))
	}
	return text.String()
}

func TestContrast(t *testing.T) {
	for name, c := range map[string]struct {
		slow func(pod int) float64
		want string
	}{
		"one pod":    {func(pod int) float64 { return []float64{0.02, 0.4, 0.02, 0.02}[pod] }, "pod p1 of shop"},
		"one node":   {func(pod int) float64 { return []float64{0.01, 0.01, 0.3, 0.3}[pod] }, "node n1 of shop"},
		"every pod":  {func(int) float64 { return 0.1 }, ""},
		"nearly one": {func(pod int) float64 { return []float64{0.09, 0.11, 0.1, 0.1}[pod] }, ""},
	} {
		found := passOver(t, attributeContrast, podded(1, 400, c.slow))[FindContrast]
		if c.want == "" {
			if len(found) > 0 {
				t.Errorf("%s: found %+v", name, found)
			}
			continue
		}
		if len(found) == 0 || found[0].Entity.Resource != c.want || found[0].Value <= found[0].Baseline || len(found[0].Refs) != 3 {
			t.Errorf("%s: found %+v", name, found)
		}
		for _, f := range found {
			if strings.HasPrefix(f.Entity.Resource, "instance") {
				t.Errorf("%s: told twice: %s", name, f.Entity.Resource)
			}
		}
	}
}

// Nothing but chance is found in fewer than a tenth of samples.
func TestContrastByChance(t *testing.T) {
	found := 0
	for seed := range uint64(60) {
		if len(passOver(t, attributeContrast, podded(100+seed, 200, func(int) float64 { return 0.08 }))[FindContrast]) > 0 {
			found++
		}
	}
	if found > 6 {
		t.Errorf("found something in %d of 60 samples", found)
	}
}

func TestFisher(t *testing.T) {
	// Fisher's tea: 3 of 4 against 1 of 4 has p = 0.2429, 4 against 0 p = 1/70.
	for _, c := range []struct {
		a, n, c, m int
		want       float64
	}{{3, 4, 1, 4, 17.0 / 70}, {4, 4, 0, 4, 1.0 / 70}, {0, 4, 4, 4, 1}} {
		if got := fisher(c.a, c.n, c.c, c.m); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %g", c, got)
		}
	}
}

// What slow requests share, and what was repaired, is told with the result; of
// operations that are not slow nothing is.
func TestResultNotes(t *testing.T) {
	for _, c := range []struct {
		longer int64 // 20 times is beyond the objective of a second
		notes  int
	}{{20, 2}, {1, 0}} {
		spans := tellSpans(t, podded(1, 400, func(pod int) float64 { return []float64{0.02, 0.4, 0.02, 0.02}[pod] }))
		for i := range spans {
			spans[i].End *= c.longer
		}
		b := &evidence.Bundle{Spans: spans, Window: evidence.Window{Start: time.Unix(0, 0), End: time.Unix(60, 0)}}
		if r := Run(b); len(r.Notes) != c.notes {
			t.Errorf("%q", r.Notes)
		}
	}
	orphan := "0-10 shop server GET /list\n  1-9 shop client q\n"
	spans := tellSpans(t, orphan)
	spans[1].Parent = testSpanID(99)
	if r := Run(&evidence.Bundle{Spans: spans}); len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "in 1 of 1 traces: 1 span with a parent that is missing") {
		t.Errorf("%q", r.Notes)
	}
}
