package analyzers

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindLargePayload is the size of the answers a request waits for, where they
// are large: By.
const FindLargePayload Kind = "payload.large"

// A payload is large from 300 kB, in a call of at least 100 ms: Sentry's
// thresholds for its "Large HTTP payload".
const (
	largePayload     = 300_000
	largePayloadCall = 100 * int64(time.Millisecond)
)

var payloadDetector = detector{
	rule: "large-payload", finds: FindLargePayload, unit: "By", warning: slowGain, find: largePayloads,
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s waits %s for an answer of %s: %s.", g.place.Operation, g.example.facts["took"], bytesText(g.median), g.brief())
	},
}

var largePayloadCalls = Analyzer{
	Name: "large-payloads",
	Doc: "Finds calls that take at least 100 ms and carry 300 kB or more, as the caller's or the answer's span says (http.response.body.size, http.request.body.size and their older names). " +
		"Value is the median size. The gain is an upper bound, the request without the call.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindLargePayload, FindLargePayload + ".recurrence"},
	Run:   payloadDetector.analyze,
}

// payload of a call in By, 0 where nobody says: the larger of what was asked
// and answered, by the caller or the one who answered.
func (t *Trace) payload(i int32) int64 {
	size := bodySize(&t.Spans[i])
	if a := t.answer(i); size == 0 && a >= 0 {
		size = bodySize(&t.Spans[a])
	}
	return size
}

func bodySize(s *evidence.Span) int64 {
	asked, _ := strconv.ParseInt(s.Attr(evidence.AttrRequestSize), 10, 64) // 0 for what is no number
	answered, _ := strconv.ParseInt(s.Attr(evidence.AttrResponseSize), 10, 64)
	return max(asked, answered, 0)
}

func largePayloads(t *Trace) []pattern {
	var found []pattern
	for _, g := range t.groups {
		calls := picked(g.calls, func(i int32) bool {
			return t.Spans[i].Duration() >= largePayloadCall && t.payload(i) >= largePayload
		})
		if len(calls) == 0 || !t.matters(g.server, calls) {
			continue
		}
		sizes := make([]int64, len(calls))
		for k, i := range calls {
			sizes[k] = t.payload(i)
		}
		slices.Sort(sizes)
		facts := t.spanFacts(calls[0])
		facts["took"] = duration(seconds(t.medianDuration(calls)))
		found = append(found, pattern{server: g.server, to: *g.to, spans: calls, value: float64(sizes[len(sizes)/2]), facts: facts, cut: func(c Cuts) {
			for _, i := range calls {
				t.CutSubtree(c, i)
			}
		}})
	}
	return found
}
