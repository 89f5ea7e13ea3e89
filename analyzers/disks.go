package analyzers

import (
	"fmt"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindDisk         Kind = "disk.saturated"     // how strongly a disk held work up while requests were slow, 0..1
	FindDiskBusy     Kind = "disk.busy"          // share of time with a request, 0..1
	FindDiskQueue    Kind = "disk.queue"         // requests at a time
	FindDiskRead     Kind = "disk.read.latency"  // s a read
	FindDiskWrite    Kind = "disk.write.latency" // s a write
	FindDiskPressure Kind = "disk.pressure"      // share of time in which all tasks waited for disks, 0..1
)

// ioSaturation measures disks. One that is always busy may still have room:
// an SSD serves many requests at once. So the queue, the latency and the
// stalls decide, not the share of busy time. Thresholds: queue 4 to 16 (node
// mixin alerts at 10), 20 to 100 ms a request, stalls 0.05 to 0.3.
var ioSaturation = Analyzer{
	Name:     "io-saturation",
	Doc:      "Queue, latency and stalls of each disk; the gain by bringing the database calls to what they take while the disk has room.",
	NeedsAny: []evidence.Kind{evidence.DiskBusy, evidence.DiskQueue},
	Uses:     []evidence.Kind{evidence.DiskBusy, evidence.DiskQueue, evidence.DiskReadLatency, evidence.DiskWriteLatency, evidence.DiskPressure, evidence.Spans},
	Finds:    []Kind{FindDisk, overlap(FindDisk), FindDiskBusy, FindDiskQueue, FindDiskRead, FindDiskWrite, FindDiskPressure},
	Run:      runDisks,
}

func runDisks(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.DiskBusy), p.entitiesOf(evidence.DiskQueue)) {
		p.reportStall(stall{finds: FindDisk, entity: e, stalled: databaseCalls, witnesses: p.diskWitnesses(e), facts: map[string]string{"disk": e.Resource},
			text: fmt.Sprintf("disk %s made its users wait while requests were slow", e.Resource)})
	}
	return nil
}

func (p *Pass) diskWitnesses(e evidence.Entity) []*witness {
	slow := func(what string) func(float64) string {
		return func(v float64) string { return "a " + what + " took " + decimals(v*1000, 1) + " ms" }
	}
	busy := p.seriesAt(evidence.DiskBusy, e)
	// the node's stalls name no disk: they are this one's only while it works
	node, _, _ := strings.Cut(e.Resource, " ")
	pressure := witnessOf(p.seriesAt(evidence.DiskPressure, evidence.Entity{Resource: node}), witness{finds: FindDiskPressure, unit: "1", none: 0.05, full: 0.3, support: true,
		text: func(v float64) string { return percent(v) + " of the time all tasks of the node waited for disks" }})
	return []*witness{
		witnessOf(p.seriesAt(evidence.DiskQueue, e), witness{finds: FindDiskQueue, unit: "{request}", none: 4, full: 16,
			text: func(v float64) string { return decimals(v, 1) + " requests at a time were at the disk" }}).whileBusy(busy),
		witnessOf(p.seriesAt(evidence.DiskReadLatency, e), witness{finds: FindDiskRead, unit: "s", none: 0.02, full: 0.1, text: slow("read")}).whileBusy(busy),
		witnessOf(p.seriesAt(evidence.DiskWriteLatency, e), witness{finds: FindDiskWrite, unit: "s", none: 0.02, full: 0.1, text: slow("write")}).whileBusy(busy),
		witnessOf(p.seriesAt(evidence.DiskBusy, e), witness{finds: FindDiskBusy, unit: "1", support: true,
			text: func(v float64) string { return percent(v) + " of the time it had a request" }}),
		pressure,
	}
}

// busyDisk: a disk that rests two fifths of the time has no queue of its own
// making; a slow request then was a rare one.
const busyDisk = 0.6

// whileBusy keeps a witness only for the times in which the disk was busy.
func (w *witness) whileBusy(busy []*evidence.Series) *witness {
	if w == nil || len(busy) == 0 {
		return w
	}
	out := *w
	at, values := sumSeries(busy)
	out.values = alignTo(w.times, at, values)
	for i, busy := range out.values {
		out.values[i] = 0
		if busy >= busyDisk {
			out.values[i] = w.values[i]
		}
	}
	return &out
}
