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

// destinations are the queues that traces go through, by name.
type destinations map[string]*tracedQueue

// reportTracedQueues tells of the queues that no metric counts: where more
// arrives than is taken out, each message waits longer than the one before.
func (p *Pass) reportTracedQueues(queues destinations) {
	for _, destination := range slices.Sorted(maps.Keys(queues)) {
		counted := slices.ContainsFunc(p.entitiesOf(evidence.QueueDepth), func(e evidence.Entity) bool { return isQueue(e, destination) })
		if !counted {
			p.reportTracedQueue(destination, queues[destination])
		}
	}
}

func tracedQueues(traces []*Trace) destinations {
	queues := destinations{}
	for _, t := range traces {
		for i := range t.Spans {
			s, sent := &t.Spans[i], t.Parent[i]
			if s.Kind != evidence.KindConsumer || sent < 0 {
				continue
			}
			destination := s.Attr(evidence.AttrMsgDest)
			if destination == "" {
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

// course fits a line to the waits, s: what one was at the begin and by how much
// they grew, in all and by the second, which by the balance of a queue is
// (arrivals - taken) / taken. Zeros for a queue that keeps up.
func (q *tracedQueue) course() (of wave, at, grew, slope float64) {
	slices.SortStableFunc(q.waited, func(a, b taken) int { return int(a.at - b.at) })
	for _, x := range q.waited {
		of.times, of.values = append(of.times, x.at), append(of.values, x.wait)
	}
	if len(q.waited) < minBacklog {
		return of, 0, 0, 0
	}
	at, slope, _ = line(of.times, of.values)
	grew = slope * float64(of.times[len(of.times)-1]-of.times[0]) / 1000
	if slope <= 0 || grew < backingUp*(at+grew) {
		return of, 0, 0, 0
	}
	return of, at, grew, slope
}

// growth of a queue that metrics count, as the traces have it.
func (d destinations) growth(e evidence.Entity) (most float64) {
	for destination, q := range d {
		if isQueue(e, destination) {
			_, _, _, slope := q.course()
			most = max(most, slope)
		}
	}
	return most
}

func (p *Pass) reportTracedQueue(destination string, q *tracedQueue) {
	course, at, grew, slope := q.course()
	if slope == 0 {
		return
	}
	wait := at + grew
	e := evidence.Entity{Service: q.consumer, Resource: destination}
	p.reportBacklog(Finding{Kind: FindQueue, Entity: e, Value: wait, Unit: "s",
		Text:   fmt.Sprintf("a message to %s waits %.1f s by the end until %s takes it, %.1f s longer than one at the begin", destination, wait, q.consumer, grew),
		Facts:  map[string]string{"queue": destination, "more": percent(slope), "wait": decimals(wait, 0)},
		Charts: []Chart{{Title: "Time that a message waited", Unit: "s", Lines: []Line{{Name: destination, Times: course.times, Values: course.values}}}}}, course)
	p.Report(Finding{Kind: FindQueueGrowth, Entity: e, Value: slope, Unit: "1",
		Text: fmt.Sprintf("each second a message waits %.2f s longer: so much more arrives than is taken", slope)})
}
