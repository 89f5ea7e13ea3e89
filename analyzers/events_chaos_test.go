package analyzers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestChaosEvents(t *testing.T) {
	const nothing = -1 // the exporter shows no series
	for name, c := range map[string]struct {
		active   []float64 // every 5 s of a minute
		injected []float64
		want     string
	}{
		"begins and ends":                {active: []float64{0, 0, 1, 1, 0, 0}, want: "10-20"},
		"lasts to the end":               {active: []float64{0, 0, 1, 1, 1, 1}, want: "10-0"},
		"was there before":               {active: []float64{1, 1, 0, 0, 0, 0}, want: "0-10"},
		"the series comes and goes":      {active: []float64{nothing, 1, 1, nothing, nothing, nothing, nothing, nothing, 1, 1, nothing, nothing}, want: "5-15; 40-50"},
		"one sample is lost":             {active: []float64{0, 1, nothing, 1, 0}, want: "5-20"},
		"one within another":             {active: []float64{0, 1, 2, 2, 1, 0}, want: "5-25; 10-20"},
		"one follows another":            {active: []float64{0, 1, 0, 1, 0}, want: "5-10; 15-20"},
		"the exporter knows better when": {active: []float64{0, 1, 1, 1, 0, 0}, injected: []float64{-60, 12.5}, want: "12-20"},
		"injected in an earlier run":     {active: []float64{0, 0, 0, 1, 0, 0}, injected: []float64{2}, want: "15-20"},
		"none":                           {active: []float64{0, 0, 0}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := evidence.Entity{Resource: "x"}
			s := evidence.Series{Kind: evidence.ChaosActive, Entity: e}
			for i, v := range c.active {
				if v != nothing {
					s.Times, s.Values = append(s.Times, int64(i)*5000), append(s.Values, v)
				}
			}
			end := time.UnixMilli(int64(len(c.active)) * 5000)
			b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: end}, Series: []evidence.Series{s, {Kind: evidence.ChaosInjected, Entity: e, Values: c.injected}}}
			var got []string
			for _, e := range eventsOf(b) {
				got = append(got, fmt.Sprintf("%d-%d", e.At/1000, e.End/1000))
				if e.Kind != eventChaos || e.Entity.Resource != "x" || !strings.Contains(e.Text, "x") {
					t.Errorf("%+v", e)
				}
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

// A deployment is told from scaling, which changes what is wanted, too.
func TestDeploymentEvents(t *testing.T) {
	e := evidence.Entity{Service: "a", Instance: "ksm"}
	course := func(k evidence.Kind, values ...float64) evidence.Series {
		s := evidence.Series{Kind: k, Entity: e, Values: values}
		for i := range values {
			s.Times = append(s.Times, int64(i)*5000)
		}
		return s
	}
	b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(60_000)}, Series: []evidence.Series{
		course(evidence.Generation, 7, 7, 8, 8, 8, 8, 8, 8, 9, 9),
		course(evidence.ReplicasDesired, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3),
	}}
	var got []string
	for _, e := range eventsOf(b) {
		got = append(got, fmt.Sprintf("%d %s: %s", e.At/1000, e.Kind, e.Text))
	}
	if text := strings.Join(got, "; "); text != "10 scaling: a scaled from 2 to 3 replicas; 40 deployment: a was deployed anew" {
		t.Error(text)
	}
}
