package analyzers

import (
	"fmt"
	"net"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindNodeSaturated Kind = "cpu.saturated"     // how strongly a node was short of CPU while requests were slow, 0..1
	FindNodeBusy      Kind = "cpu.node.busy"     // share of the node's cores at work, 0..1
	FindNodeQueue     Kind = "cpu.node.pressure" // share of time in which some task waited for a core, 0..1
	FindNodeLoad      Kind = "cpu.node.load"     // tasks that run or wait, a core
	FindNodeSteal     Kind = "cpu.node.steal"    // share taken by the hypervisor, 0..1
	FindCPUPressure   Kind = "cpu.box.pressure"  // share of time in which some task of a container without a quota waited for a core, 0..1
)

// cpuSaturation measures nodes without CPU to spare. Thresholds: 0.8 and 0.9
// busy are the alerts of the public mixins; the ramp lies above them, as a
// load run is meant to use what is there. Pressure 0.2 to 0.5 and 1 to 2 tasks
// a core are support: they also rise with tasks that wake often.
var cpuSaturation = Analyzer{
	Name:     "cpu-saturation",
	Doc:      "Nodes whose cores are all at work, or taken by the hypervisor, while requests are slow; the gain by bringing every span on it to what it takes while the node has room, no further than a quarter of the kinds of spans are stretched alike.",
	NeedsAny: []evidence.Kind{evidence.NodeCPUBusy, evidence.CPUPressure, evidence.CPUUsage},
	Uses:     []evidence.Kind{evidence.NodeCPUBusy, evidence.CPUPressure, evidence.CPULimit, evidence.NodeCPUCount, evidence.NodeCPUPressure, evidence.NodeLoad, evidence.NodeCPUSteal, evidence.CPUUsage, evidence.Spans},
	Finds:    []Kind{FindNodeSaturated, overlap(FindNodeSaturated), FindNodeBusy, FindNodeQueue, FindNodeLoad, FindNodeSteal, FindCPUPressure},
	Run:      runCPUSaturation,
}

func runCPUSaturation(p *Pass) error {
	nodes := p.entitiesOf(evidence.NodeCPUBusy)
	for _, e := range nodes {
		who := stalled(everySpan)
		if len(nodes) > 1 {
			who = p.spansOnNode(e.Resource)
		}
		p.reportStall(stall{finds: FindNodeSaturated, entity: e, stalled: who, shared: true, facts: p.nodeFacts(e, len(nodes) == 1),
			idle: fmt.Sprintf("node %s had CPU to spare", e.Resource),
			text: fmt.Sprintf("node %s had no CPU to spare while requests were slow", e.Resource),
			witnesses: []*witness{
				witnessOf(p.seriesAt(evidence.NodeCPUBusy, e), witness{finds: FindNodeBusy, unit: "1", none: 0.85, full: 0.97, bounded: true,
					text: func(v float64) string { return percent(v) + " of the node's cores were busy" }}),
				witnessOf(p.seriesAt(evidence.NodeCPUSteal, e), witness{finds: FindNodeSteal, unit: "1", none: 0.05, full: 0.2,
					text: func(v float64) string { return percent(v) + " of the core time went to other guests of the hypervisor" }}),
				witnessOf(p.seriesAt(evidence.NodeCPUPressure, e), witness{finds: FindNodeQueue, unit: "1", none: 0.2, full: 0.5, support: true,
					text: func(v float64) string { return "in " + percent(v) + " of the time some task waited for a core" }}),
				witnessOf(p.seriesAt(evidence.NodeLoad, e), witness{finds: FindNodeLoad, unit: "1", none: 1, full: 2, support: true,
					text: func(v float64) string { return decimals(v, 1) + " tasks a core ran or waited" }}),
			}})
	}
	if len(nodes) == 0 {
		p.containersShortOfCPU()
	}
	return nil
}

// containersShortOfCPU stands in where no node is measured: what a container
// without a quota waits for is a core of its node. With a quota, and with the
// node in sight, the wait has another name.
func (p *Pass) containersShortOfCPU() {
	for _, e := range p.entitiesOf(evidence.CPUPressure) {
		if len(p.seriesAt(evidence.CPULimit, e)) > 0 {
			continue
		}
		p.reportStall(stall{finds: FindNodeSaturated, entity: e, service: e.Service, stalled: p.spansAt(e), facts: map[string]string{"node": "of " + consumerName(e)},
			text: fmt.Sprintf("%s waited for cores of its node while it was slow", e),
			witnesses: []*witness{witnessOf(p.seriesAt(evidence.CPUPressure, e), witness{finds: FindCPUPressure, unit: "1", none: 0.2, full: 0.6,
				text: func(v float64) string { return "in " + percent(v) + " of the time some of its tasks waited for a core" }})}})
	}
}

// nodeFacts for the remedy: how many cores there are, and who used most of
// them, where there is one node, so that all that was measured runs on it.
func (p *Pass) nodeFacts(e evidence.Entity, alone bool) map[string]string {
	f := map[string]string{"node": e.Resource}
	cores, ok := meanOf(p.seriesAt(evidence.NodeCPUCount, e))
	if ok && cores > 0 {
		f["cores"] = decimals(cores, 0)
		f["proposed"] = decimals(cores*1.5+0.49, 0)
	}
	if !alone {
		return f
	}
	most := 0.0
	for _, c := range p.entitiesOf(evidence.CPUUsage) {
		times, values := sumSeries(p.seriesAt(evidence.CPUUsage, c))
		if v := p.loadedMean("", times, values); v > most {
			most = v
			f["consumer"], f["consumer_cores"] = consumerName(c), decimals(v, 2)
		}
	}
	return f
}

// consumerName is the shortest name that says who it is.
func consumerName(e evidence.Entity) string {
	switch {
	case e.Service != "":
		return e.Service
	case e.Resource != "":
		return e.Resource
	}
	return e.Instance
}

// spansOnNode are the spans that name the node or its host; a span that says
// nothing of where it ran is left alone.
func (p *Pass) spansOnNode(node string) stalled {
	host := node
	if h, _, err := net.SplitHostPort(node); err == nil {
		host = h
	}
	return func(t *Trace) []bool {
		hit := make([]bool, len(t.Spans))
		for i := range t.Spans {
			s := &t.Spans[i]
			for _, name := range []string{s.Attr(evidence.AttrNode), s.Attr(evidence.AttrHost)} {
				hit[i] = hit[i] || name != "" && (name == node || name == host)
			}
		}
		return hit
	}
}
