package analyzers

import (
	"math"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// messages are n requests, one a second, each of which sends a message and
// waits for it to be worked off; wait says how long the k-th lies in the queue.
func messages(n int, wait func(k int) time.Duration) *evidence.Bundle {
	b := &evidence.Bundle{}
	to := evidence.NewAttrs(evidence.Attr{Key: evidence.AttrMsgDest, Value: "parcels"})
	for k := range n {
		id := evidence.TraceID{1, byte(k >> 8), byte(k)}
		ms := int64(time.Millisecond)
		sent := int64(k)*int64(time.Second) + 5*ms
		taken := sent + int64(wait(k))
		b.Spans = append(b.Spans,
			evidence.Span{Trace: id, ID: testSpanID(1), Start: sent - 5*ms, End: taken + 20*ms, Kind: evidence.KindServer, Service: "shop", Name: "POST /parcels"},
			evidence.Span{Trace: id, ID: testSpanID(2), Parent: testSpanID(1), Start: sent - ms, End: sent, Kind: evidence.KindProducer, Service: "shop", Name: "send", Attrs: to},
			evidence.Span{Trace: id, ID: testSpanID(3), Parent: testSpanID(2), Start: taken, End: taken + 10*ms, Kind: evidence.KindConsumer, Service: "post", Name: "process", Attrs: to})
	}
	b.Sort()
	return b
}

// A quarter more arrives than is taken: each message waits 250 ms longer than
// the one a second before, and the requests wait with them.
func TestTracedQueueBacksUp(t *testing.T) {
	found := passOverBundle(t, queueBacklog, messages(40, func(k int) time.Duration { return time.Duration(k) * 250 * time.Millisecond }))
	backlog, growth := found[FindQueue], found[FindQueueGrowth]
	if len(backlog) != 1 || len(growth) != 1 {
		t.Fatalf("found %+v", found)
	}
	if want := (evidence.Entity{Service: "post", Resource: "parcels"}); backlog[0].Entity != want {
		t.Errorf("it is about %v", backlog[0].Entity)
	}
	if math.Abs(backlog[0].Value-9.75) > 0.1 || math.Abs(growth[0].Value-0.2) > 0.01 { // taken at 1.25 s of arrival each
		t.Errorf("a message waits %.2f s, growing by %.3f", backlog[0].Value, growth[0].Value)
	}
	if i := backlog[0].Impact; i == nil || i.Now < 9 || i.Then > 0.03 {
		t.Errorf("impact %+v", i)
	}
}

func TestQueueThatKeepsUp(t *testing.T) {
	for name, wait := range map[string]func(int) time.Duration{
		"at once":         func(int) time.Duration { return 0 },
		"in batches":      func(k int) time.Duration { return time.Duration(5-k%5) * time.Second },
		"a clock is off":  func(int) time.Duration { return 7 * time.Second },
		"shorter by time": func(k int) time.Duration { return time.Duration(40-k) * 100 * time.Millisecond },
	} {
		if found := passOverBundle(t, queueBacklog, messages(40, wait)); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
	few := messages(minBacklog-1, func(k int) time.Duration { return time.Duration(k) * time.Second })
	if found := passOverBundle(t, queueBacklog, few); len(found) > 0 {
		t.Errorf("too few to tell: %+v", found)
	}
}

// Where metrics count the messages of a destination they speak for it.
func TestCountedQueueIsNotToldTwice(t *testing.T) {
	b := messages(40, func(k int) time.Duration { return time.Duration(k) * 250 * time.Millisecond })
	b.Series = []evidence.Series{{Kind: evidence.QueueDepth, Entity: evidence.Entity{Instance: "broker", Resource: "parcels"}}}
	if found := passOverBundle(t, queueBacklog, b); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}
