package analyzers

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindQueue       Kind = "queue.backlog"   // s that the consumers would need for what waits at the end of the window
	FindQueueGrowth Kind = "queue.growth"    // messages a second that the queue grows / consumed a second
	FindQueueAge    Kind = "queue.age"       // s that the oldest message waits
	FindQueueIdle   Kind = "queue.consumers" // consumers
	FindQueueWaited Kind = "queue.waited"    // share of the p95 of the requests that go through it that lies between producer and consumer, 0..1
)

// minBacklog messages below which a queue is only in use.
const minBacklog = 20

// queueBacklog measures queues that fill faster than they are emptied. The
// slope and the time to drain decide, not the depth: a deep queue that shrinks
// is on the mend. One to drain in less than 10 s is a buffer at work.
var queueBacklog = Analyzer{
	Name:     "queue-backlog",
	Doc:      "Growth of each queue over the window and the time that its consumers would need for what waits, or where nobody counts what waits, how much longer each message waited than the one before it; the gain where a symptom's own service consumes it.",
	NeedsAny: []evidence.Kind{evidence.QueueDepth, evidence.Spans},
	Uses:     []evidence.Kind{evidence.QueueConsumed, evidence.QueuePublished, evidence.QueueAge, evidence.QueueConsumers, evidence.QueueUnacked},
	Finds:    []Kind{FindQueue, FindQueueGrowth, FindQueueAge, FindQueueIdle, FindQueueWaited},
	Run:      runQueues,
}

func runQueues(p *Pass) error {
	traced := tracedQueues(p.Facts.Traces)
	for _, e := range p.entitiesOf(evidence.QueueDepth) {
		w := witnessOf(p.seriesAt(evidence.QueueDepth, e), witness{unit: "{message}"})
		if w != nil && len(w.values) >= leakPoints {
			p.reportQueue(e, w, traced.growth(e))
		}
	}
	p.reportTracedQueues(traced)
	return nil
}

// reportQueue by its metrics. traced is its growth as traces have it, 0 where
// they do not tell.
func (p *Pass) reportQueue(e evidence.Entity, w *witness, traced float64) {
	at, slope, _ := line(w.times, w.values)
	end := at + slope*float64(w.times[len(w.times)-1]-w.times[0])/1000
	consumed, counted := p.consumedFrom(e)
	if slope <= 0 || end < minBacklog {
		return
	}
	wait, known := 0.0, counted && consumed > 0
	if known {
		wait = end / consumed
	}
	if _, ages := sumSeries(p.seriesAt(evidence.QueueAge, e)); len(ages) > 0 {
		age := quantile(ages, 0.95)
		p.Report(Finding{Kind: FindQueueAge, Entity: e, Value: age, Unit: "s", Text: fmt.Sprintf("the oldest message waited %.0f s", age)})
		wait, known = math.Max(wait, age), true
	}
	idle := p.unconsumed(e, consumed, counted)
	if idle { // what came first has waited since
		wait, known = math.Max(wait, float64(w.times[len(w.times)-1]-w.times[0])/1000), true
	}
	if !known {
		return // nobody counts what is taken out: how long a message waits cannot be told
	}
	f := Finding{Kind: FindQueue, Entity: e, Value: wait, Unit: "s", Refs: []evidence.Ref{w.ref()},
		Text:   fmt.Sprintf("%s grew by %.1f messages a second to %.0f: a message waits %.0f s%s", e, slope, end, wait, map[bool]string{true: " or more, for nobody takes any"}[idle]),
		Facts:  map[string]string{"queue": consumerName(evidence.Entity{Resource: e.Resource, Instance: e.Service}), "growth": decimals(slope, 1), "wait": decimals(wait, 0), "consumed": decimals(consumed, 1)},
		Charts: []Chart{{Title: "Messages that wait", Unit: "{message}", Lines: []Line{{Name: e.String(), Times: w.times, Values: w.values}}}}}
	if idle {
		f.Facts["idle"] = "true"
	}
	p.reportBacklog(f, wave{w.times, w.values})
	if counted || idle {
		growth := max(per(slope, consumed), traced) // the larger: a second witness never clears the first
		if idle {
			growth = 1
		}
		p.Report(Finding{Kind: FindQueueGrowth, Entity: e, Value: growth, Unit: "1", Text: fmt.Sprintf("%.1f messages a second are consumed, %.1f more arrive", consumed, slope)})
	}
	if n, ok := meanOf(p.seriesAt(evidence.QueueConsumers, e)); ok {
		p.Report(Finding{Kind: FindQueueIdle, Entity: e, Value: n, Unit: "{consumer}", Text: fmt.Sprintf("%.1f consumers took from it", n)})
	}
}

// reportBacklog reports a queue whose messages wait for the seconds of the
// finding, with what the requests through it wait.
func (p *Pass) reportBacklog(f Finding, depth wave) {
	f.Impact, f.Victims = p.queueImpact(f.Entity, f.Value, depth)
	p.Report(f)
	if i := f.Impact; i != nil {
		p.Report(Finding{Kind: FindQueueWaited, Entity: f.Entity, Value: i.Share(), Unit: "1",
			Text: fmt.Sprintf("%s of the p95 of %s lies between who sends and who takes", percent(i.Share()), i.Operation)})
	}
}

// unconsumed reports whether nobody takes from a queue: none of its consumers
// is there, or who counts what they take counts nothing.
func (p *Pass) unconsumed(e evidence.Entity, consumed float64, counted bool) bool {
	if n, ok := meanOf(p.seriesAt(evidence.QueueConsumers, e)); ok {
		return n == 0
	}
	return counted && consumed == 0
}

// openAbove is the span itself, or the next above it, that is open at a time;
// -1 if none is.
func (t *Trace) openAbove(i int32, at int64) int32 {
	for i >= 0 && t.Spans[i].End <= at {
		i = t.Parent[i]
	}
	return i
}

// consumedFrom is what is taken out of a queue a second: by the queue's own
// account, or, where a broker knows its depth alone, by that of those who
// consume from a destination of its name.
func (p *Pass) consumedFrom(e evidence.Entity) (float64, bool) {
	own := p.seriesAt(evidence.QueueConsumed, e)
	if len(own) == 0 && e.Resource != "" {
		own = p.seriesOf(evidence.QueueConsumed, func(o evidence.Entity) bool { return o.Resource == e.Resource })
	}
	return meanOf(own)
}

// isQueue reports whether a destination is what metrics tell of, by its name or
// with others before and behind it.
func isQueue(e evidence.Entity, destination string) bool {
	return destination != "" && (destination == e.Resource || slices.Contains(strings.Fields(e.Resource), destination))
}

// queueImpact takes the wait between producer and consumer out of the traces
// that go through the queue: the destination names it. Who sends and goes on
// does not wait; a request that waits for the answer does, in the next span
// above that is still open when the consumer begins.
//
// Without traces those may go through it whose p95 moves with its depth: who
// exports the depth is seldom who waits.
func (p *Pass) queueImpact(e evidence.Entity, wait float64, depth wave) (*Impact, []evidence.Entity) {
	ofQueue := func(s *evidence.Span) bool {
		return s.Kind == evidence.KindConsumer && isQueue(e, s.Attr(evidence.AttrMsgDest))
	}
	cut := func(t *Trace) Cuts {
		c := t.NewCuts()
		for i := range t.Spans {
			if sent := t.Parent[i]; sent >= 0 && ofQueue(&t.Spans[i]) {
				waits := t.openAbove(sent, t.Spans[i].Start)
				if waits < 0 {
					continue
				}
				gap := t.Spans[i].Start - t.gapStart(waits, t.Spans[i].Start)
				t.CutSelf(c, waits, min(gap, int64(wait*1e9)))
			}
		}
		return c
	}
	touches := func(t *Trace) bool {
		for i := range t.Spans {
			if ofQueue(&t.Spans[i]) {
				return true
			}
		}
		return false
	}
	i, hurt := p.predictWorst(p.Facts.tracesWhere(touches), cut)
	return p.orRough(i, hurt, rough{saved: evenly(wait), lasts: wait, moves: &depth, method: "time to drain the queue"})
}
