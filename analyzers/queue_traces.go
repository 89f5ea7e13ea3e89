package analyzers

import (
	"fmt"
	"maps"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// backingUp: a message at the end of the window waits longer than one at its
// begin by at least so large a share of its wait. What waits evenly is taken
// out as fast as it comes, in batches or by a clock that is off.
const backingUp = 0.5

// tracedQueue is how long the messages of one destination waited, by when they
// were taken.
type tracedQueue struct {
	consumer string // the service that takes them
	waited   []taken
}

type taken struct {
	at   int64   // Unix ms
	wait float64 // s since it was sent
}

// reportTracedQueues tells of the queues that no metric counts: where more
// arrives than is taken out, each message waits longer than the one before.
func (p *Pass) reportTracedQueues() {
	queues := tracedQueues(p.Facts.Traces)
	for _, destination := range slices.Sorted(maps.Keys(queues)) {
		counted := slices.ContainsFunc(p.entitiesOf(evidence.QueueDepth), func(e evidence.Entity) bool { return isQueue(e, destination) })
		if q := queues[destination]; !counted && len(q.waited) >= minBacklog {
			p.reportTracedQueue(destination, q)
		}
	}
}

func tracedQueues(traces []*Trace) map[string]*tracedQueue {
	queues := map[string]*tracedQueue{}
	for _, t := range traces {
		for i := range t.Spans {
			s := &t.Spans[i]
			destination, sent := s.Attr(evidence.AttrMsgDest), t.Parent[i]
			if s.Kind != evidence.KindConsumer || destination == "" || sent < 0 {
				continue
			}
			if queues[destination] == nil {
				queues[destination] = &tracedQueue{consumer: s.Service}
			}
			q := queues[destination]
			wait := max(0, s.Start-min(s.Start, t.Spans[sent].End))
			q.waited = append(q.waited, taken{s.Start / 1e6, seconds(wait)})
		}
	}
	return queues
}

// reportTracedQueue fits a line to the waits. By the balance of a queue they
// grow by (arrivals - taken) / taken seconds a second.
func (p *Pass) reportTracedQueue(destination string, q *tracedQueue) {
	slices.SortStableFunc(q.waited, func(a, b taken) int { return int(a.at - b.at) })
	var course wave
	for _, x := range q.waited {
		course.times, course.values = append(course.times, x.at), append(course.values, x.wait)
	}
	at, slope, _ := line(course.times, course.values)
	grew := slope * float64(course.times[len(course.times)-1]-course.times[0]) / 1000
	wait := at + grew
	if slope <= 0 || grew < backingUp*wait {
		return
	}
	e := evidence.Entity{Service: q.consumer, Resource: destination}
	p.reportBacklog(Finding{Kind: FindQueue, Entity: e, Value: wait, Unit: "s",
		Text:   fmt.Sprintf("a message to %s waits %.1f s by the end until %s takes it, %.1f s longer than one at the begin", destination, wait, q.consumer, grew),
		Facts:  map[string]string{"queue": destination, "more": percent(slope), "wait": decimals(wait, 0)},
		Charts: []Chart{{Title: "Time that a message waited", Unit: "s", Lines: []Line{{Name: destination, Times: course.times, Values: course.values}}}}}, course)
	p.Report(Finding{Kind: FindQueueGrowth, Entity: e, Value: slope, Unit: "1",
		Text: fmt.Sprintf("each second a message waits %.2f s longer: so much more arrives than is taken", slope)})
}
