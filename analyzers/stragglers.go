package analyzers

import (
	"fmt"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindStragglers is how many times longer than the median the last of several
// parallel calls took.
const FindStragglers Kind = "calls.straggler"

const (
	// parallelEnough: at most this share of neighbours in a row.
	parallelEnough = 0.2
	// stragglerRatio of the longest to the median call.
	stragglerRatio = 3.0
)

var stragglerDetector = detector{
	rule: "fan-out-straggler", finds: FindStragglers, unit: "1", find: stragglersOf,
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s waits for the last of %s calls made at once, which takes %.1f times the median: %s.", g.place.Operation, g.example.facts["calls"], g.median, g.brief())
	},
}

var stragglers = Analyzer{
	Name: "stragglers",
	Doc: "Finds requests that make five or more calls of one kind at once and wait for one that takes at least three times as long as the median: " +
		"the more calls, the surer one of them is slow. The gain brings the longest to the median.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindStragglers, FindStragglers + ".recurrence"},
	Run:   stragglerDetector.analyze,
}

func stragglersOf(t *Trace) []pattern {
	var found []pattern
	for _, g := range t.groups {
		if len(g.calls) < fewestRepeats || t.serial(g.calls) > parallelEnough {
			continue
		}
		last, median := t.longest(g.calls), t.medianDuration(g.calls)
		ratio := float64(t.Spans[last].Duration()) / float64(max(median, 1))
		if ratio < stragglerRatio || !t.matters(g.server, []int32{last}) {
			continue
		}
		facts := t.spanFacts(last)
		facts["calls"], facts["median"], facts["instance"] = strconv.Itoa(len(g.calls)), duration(seconds(median)), t.answeredBy(last)
		found = append(found, pattern{server: g.server, to: *g.to, spans: []int32{last}, value: ratio, facts: facts, cut: func(c Cuts) {
			t.Shorten(c, last, 1/ratio)
		}})
	}
	return found
}

// answeredBy names the instance that answered a call, "" where it left no
// span.
func (t *Trace) answeredBy(i int32) string {
	if a := t.answer(i); a >= 0 {
		return t.Spans[a].Instance
	}
	return ""
}
