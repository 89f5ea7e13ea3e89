package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindMemory          Kind = "memory.pressed"        // how strongly a lack of memory held work up while requests were slow, 0..1
	FindMemoryStall     Kind = "memory.stall.share"    // share of time in which all tasks waited for memory, 0..1
	FindMemoryKills     Kind = "memory.kills.rate"     // kills for lack of memory, 1/s
	FindMemoryUse       Kind = "memory.use"            // working set / limit, 0..1
	FindMemoryFaults    Kind = "memory.faults.rate"    // page faults that went to disk, 1/s
	FindMemorySwap      Kind = "memory.swap.rate"      // pages swapped, 1/s
	FindMemoryAvailable Kind = "memory.node.available" // memory that the node could give / all, 0..1
)

// memoryPressure measures stalls, kills and paging for lack of memory. A
// working set near its limit is none: page cache fills whatever there is.
// Thresholds: stalls of 0.02 to 0.2 s a s (0.02 is the alert of the public
// observers; the systemd killer acts at 0.6), 500 disk faults a second (node
// mixin), any kill.
var memoryPressure = Analyzer{
	Name:     "memory-pressure",
	Doc:      "Stalls, kills and paging for lack of memory, of containers and nodes, against the latency of what runs there.",
	NeedsAny: []evidence.Kind{evidence.MemoryPressure, evidence.MemoryKills, evidence.NodeMemoryPressure, evidence.NodeMemoryFaults},
	Uses:     []evidence.Kind{evidence.MemoryPressure, evidence.MemoryKills, evidence.MemoryUsage, evidence.MemoryLimit, evidence.NodeMemoryPressure, evidence.NodeMemoryFaults, evidence.NodeMemorySwap, evidence.NodeMemoryKills, evidence.NodeMemoryAvailable, evidence.NodeMemoryTotal, evidence.Spans},
	Finds:    []Kind{FindMemory, overlap(FindMemory), FindMemoryStall, FindMemoryKills, FindMemoryUse, FindMemoryFaults, FindMemorySwap, FindMemoryAvailable},
	Run:      runMemoryPressure,
}

func runMemoryPressure(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.MemoryPressure), p.entitiesOf(evidence.MemoryKills)) {
		p.reportStall(stall{finds: FindMemory, entity: e, service: e.Service, stalled: p.spansAt(e), facts: p.memoryFacts(e),
			text:      fmt.Sprintf("%s was short of memory while requests were slow", e),
			witnesses: p.containerMemory(e)})
	}
	nodes := union(p.entitiesOf(evidence.NodeMemoryPressure), p.entitiesOf(evidence.NodeMemoryFaults))
	for _, e := range nodes {
		who := stalled(everySpan)
		if len(nodes) > 1 {
			who = p.spansOnNode(e.Resource)
		}
		p.reportStall(stall{finds: FindMemory, entity: e, stalled: who, shared: true, facts: map[string]string{"node": e.Resource},
			text:      fmt.Sprintf("node %s was short of memory while requests were slow", e.Resource),
			witnesses: p.nodeMemory(e)})
	}
	return nil
}

// memoryStall, kills: the ramps are the same for a container and a node.
func (p *Pass) memoryStall(k evidence.Kind, e evidence.Entity) *witness {
	return witnessOf(p.seriesAt(k, e), witness{finds: FindMemoryStall, unit: "1", none: 0.01, full: 0.1,
		text: func(v float64) string {
			return decimals(v*100, 1) + " % of the time all of its tasks waited for memory"
		}})
}

func (p *Pass) memoryKills(k evidence.Kind, e evidence.Entity) *witness {
	return witnessOf(p.seriesAt(k, e), witness{finds: FindMemoryKills, unit: "1/s", none: 0, full: 1.0 / 600,
		text: func(v float64) string { return "processes were killed for lack of memory" }})
}

func (p *Pass) containerMemory(e evidence.Entity) []*witness {
	return []*witness{
		p.memoryStall(evidence.MemoryPressure, e), p.memoryKills(evidence.MemoryKills, e),
		witnessOf(p.seriesAt(evidence.MemoryUsage, e), witness{finds: FindMemoryUse, unit: "1", support: true,
			text: func(v float64) string { return "it holds " + percent(v) + " of the memory it may" }}).over(p.seriesAt(evidence.MemoryLimit, e)),
	}
}

func (p *Pass) nodeMemory(e evidence.Entity) []*witness {
	return []*witness{
		p.memoryStall(evidence.NodeMemoryPressure, e), p.memoryKills(evidence.NodeMemoryKills, e),
		witnessOf(p.seriesAt(evidence.NodeMemoryFaults, e), witness{finds: FindMemoryFaults, unit: "1/s", none: 250, full: 1000,
			text: func(v float64) string { return decimals(v, 0) + " page faults a second went to disk" }}),
		witnessOf(p.seriesAt(evidence.NodeMemorySwap, e), witness{finds: FindMemorySwap, unit: "1/s", none: 100, full: 2000,
			text: func(v float64) string { return decimals(v, 0) + " pages a second were swapped" }}),
		witnessOf(p.seriesAt(evidence.NodeMemoryAvailable, e), witness{finds: FindMemoryAvailable, unit: "1", support: true,
			text: func(v float64) string { return percent(v) + " of the node's memory was available" }}).over(p.seriesAt(evidence.NodeMemoryTotal, e)),
	}
}

func (p *Pass) memoryFacts(e evidence.Entity) map[string]string {
	f := map[string]string{"container": e.Resource, "service": e.Service}
	if v, ok := meanOf(p.seriesAt(evidence.MemoryLimit, e)); ok && v > 0 {
		f["limit"], f["proposed"] = bytesText(v), bytesText(1.5*v)
	}
	return f
}
