package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindSpareCPU    Kind = "spare.cpu"    // share of the cores reserved that the peak leaves, 0..1
	FindSpareMemory Kind = "spare.memory" // share of the memory reserved that the peak leaves, 0..1
	FindSpare       Kind = "spare"        // the larger of both, 0..1
	FindSpareLoaded Kind = "spare.loaded" // whether the window held load to judge a peak by, 0..1
)

// Headroom that stays above the peak (99th percentile over time): half as
// much again of CPU, which comes in bursts; a fifth of memory, which kills.
const (
	spareCPU    = 1.5
	spareMemory = 1.2
)

// oversized compares what containers reserve with what they used at their
// peak: a load run is the one time when that says something.
var oversized = Analyzer{
	Name:  "oversized-resources",
	Doc:   "Cores and bytes that containers reserve beyond their peak under load and headroom. It costs money, not time: never a cause.",
	Uses:  []evidence.Kind{evidence.CPURequest, evidence.CPULimit, evidence.CPUUsage, evidence.MemoryRequest, evidence.MemoryLimit, evidence.MemoryUsage, evidence.CPUThrottledRatio},
	Finds: []Kind{FindSpare, FindSpareCPU, FindSpareMemory, FindSpareLoaded},
	Run:   runOversized,
}

func runOversized(p *Pass) error {
	loaded := p.underLoad()
	for _, e := range union(p.entitiesOf(evidence.CPURequest), p.entitiesOf(evidence.MemoryRequest)) {
		facts := map[string]string{"container": e.String()}
		cpu := p.spare(e, evidence.CPURequest, evidence.CPUUsage, spareCPU, func(v float64) string { return decimals(v, 2) + " cores" }, "cpu", facts)
		memory := p.spare(e, evidence.MemoryRequest, evidence.MemoryUsage, spareMemory, bytesText, "memory", facts)
		if max(cpu, memory) <= 0 {
			continue
		}
		p.Report(Finding{Kind: FindSpare, Entity: e, Value: max(cpu, memory), Unit: "1", Facts: facts,
			Text: fmt.Sprintf("%s reserves more than its peak under load and headroom need", e)})
		p.Report(Finding{Kind: FindSpareLoaded, Entity: e, Value: loaded, Unit: "1", Text: decimals(loaded, 0) + " (1: the window held load, and nothing was slow)"})
	}
	return nil
}

// spare is the share of a reservation that could be given back; 0 where either
// side is not known. It puts the numbers into facts.
func (p *Pass) spare(e evidence.Entity, reserved, used evidence.Kind, headroom float64, text func(float64) string, name string, facts map[string]string) float64 {
	have, ok := meanOf(p.seriesAt(reserved, e))
	_, values := sumSeries(p.seriesAt(used, e))
	if !ok || have <= 0 || len(values) < leakPoints {
		return 0
	}
	need := quantile(values, 0.99) * headroom
	share := clamp01(1 - need/have)
	kind := FindSpareCPU
	if reserved == evidence.MemoryRequest {
		kind = FindSpareMemory
	}
	p.Report(Finding{Kind: kind, Entity: e, Value: share, Unit: "1", Text: fmt.Sprintf("it reserves %s; its peak and headroom need %s", text(have), text(need))})
	if share >= 0.2 {
		facts[name], facts[name+"_proposed"], facts[name+"_spare"] = text(have), text(need), text(have-need)
	}
	return share
}

// underLoad is 1 where requests were served and none was slow: what a starved
// system uses says nothing of what it needs.
func (p *Pass) underLoad() float64 {
	if len(p.Facts.Slow) > 0 {
		return 0
	}
	for i := range p.Facts.Symptoms {
		if p.Facts.Symptoms[i].Requests >= 10*minRequests {
			return 1
		}
	}
	return 0
}
