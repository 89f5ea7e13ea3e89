package analyzers

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindColdStart is how many times longer than usual a request takes on an
// instance that has just begun to serve.
const FindColdStart Kind = "instance.cold"

const (
	// coldFor is how long after its first request an instance may still be
	// loading code, filling pools and caches.
	coldFor = 30 * int64(time.Second)
	// lateBy: an instance whose first request comes so much after the first of
	// its service began later. One that was there when the window opened did
	// not, as far as anyone can tell.
	lateBy = 10 * int64(time.Second)
	// coldRatio and coldExcess beyond the operation's median make a request
	// slow for a cold start.
	coldRatio  = 3.0
	coldExcess = 20 * int64(time.Millisecond)
)

var coldStart = Analyzer{
	Name: "cold-start",
	Doc: "Finds requests that a new instance serves slowly: spans that say so (faas.coldstart), or the requests of an instance within 30 s of its first, if that came 10 s or more after the first " +
		"of its service, which take three times the operation's median and 20 ms more. Value is the times longer; the gain brings them to the median.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindColdStart, FindColdStart + ".recurrence"},
	Run:   runColdStart,
}

var coldDetector = detector{
	rule: "cold-start", finds: FindColdStart, unit: "1",
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s of the requests to %s meet an instance that has just begun to serve, and take %.1f times as long there.", percent(g.share), g.place.Operation, g.median)
	},
}

// instance of a service.
type instance struct{ service, name string }

// beginnings are the first requests seen, in Unix ns.
type beginnings struct {
	services  map[string]int64
	instances map[instance]int64
}

func runColdStart(p *Pass) error {
	first := beginningsOf(p.Facts.Traces)
	usual := sync.OnceValue(func() map[*evidence.Entity]int64 { return medianByOperation(p.Facts.Traces) }) // seldom needed
	d := coldDetector
	d.find = func(t *Trace) []pattern {
		var found []pattern
		for _, e := range t.entries {
			if t.coldAt(e.span, &first) {
				found = t.appendCold(found, e, usual()[e.entity])
			}
		}
		return found
	}
	return d.analyze(p)
}

func beginningsOf(traces []*Trace) beginnings {
	first := beginnings{map[string]int64{}, map[instance]int64{}}
	for _, t := range traces {
		for _, e := range t.entries {
			s := &t.Spans[e.span]
			earliest(first.services, s.Service, s.Start)
			earliest(first.instances, instance{s.Service, s.Instance}, s.Start)
		}
	}
	return first
}

func earliest[K comparable](of map[K]int64, k K, at int64) {
	if was, known := of[k]; !known || at < was {
		of[k] = at
	}
}

// medianByOperation of the durations, in ns.
func medianByOperation(traces []*Trace) map[*evidence.Entity]int64 {
	all := map[*evidence.Entity][]int64{}
	for _, t := range traces {
		for _, e := range t.entries {
			all[e.entity] = append(all[e.entity], t.Spans[e.span].Duration())
		}
	}
	usual := make(map[*evidence.Entity]int64, len(all))
	for e, durations := range all {
		slices.Sort(durations)
		usual[e] = durations[len(durations)/2]
	}
	return usual
}

// coldAt reports whether a request was served by an instance that had just
// begun to.
func (t *Trace) coldAt(i int32, first *beginnings) bool {
	s := &t.Spans[i]
	if s.Attr(evidence.AttrColdStart) == "true" {
		return true
	}
	began := first.instances[instance{s.Service, s.Instance}]
	return s.Instance != "" && began >= first.services[s.Service]+lateBy && s.Start < began+coldFor
}

func (t *Trace) appendCold(found []pattern, e entry, usual int64) []pattern {
	took := t.Spans[e.span].Duration()
	if float64(took) < coldRatio*float64(usual) || took-usual < coldExcess || !t.matters(e.span, []int32{e.span}) {
		return found
	}
	name := t.Spans[e.span].Instance
	return append(found, pattern{server: e.span, spans: []int32{e.span}, value: float64(took) / float64(max(usual, 1)),
		facts: map[string]string{"instance": name, "usual": duration(seconds(usual)), "took": duration(seconds(took))},
		cut:   func(c Cuts) { t.Shorten(c, e.span, float64(usual)/float64(took)) }})
}
