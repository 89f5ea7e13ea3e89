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
		cpu := p.spare(e, reservation{evidence.CPURequest, evidence.CPUUsage, spareCPU, FindSpareCPU, "cpu", func(v float64) string { return decimals(v, 2) + " cores" }}, facts)
		memory := p.spare(e, reservation{evidence.MemoryRequest, evidence.MemoryUsage, spareMemory, FindSpareMemory, "memory", bytesText}, facts)
		if max(cpu.share, memory.share) <= 0 {
			continue
		}
		if money := p.money(cpu.back, memory.back); money != "" {
			facts["money"] = money
		}
		p.Report(Finding{Kind: FindSpare, Entity: e, Value: max(cpu.share, memory.share), Unit: "1", Facts: facts,
			Text: fmt.Sprintf("%s reserves more than its peak under load and headroom need", e)})
		p.Report(Finding{Kind: FindSpareLoaded, Entity: e, Value: loaded, Unit: "1", Text: decimals(loaded, 0) + " (1: the window held load, and nothing was slow)"})
	}
	return nil
}

// reservation is one of the things that a container reserves.
type reservation struct {
	reserved, used evidence.Kind
	headroom       float64 // times the peak
	finds          Kind
	name           string // in facts
	text           func(float64) string
}

// spared is what of a reservation the peak leaves.
type spared struct {
	share float64 // 0..1
	back  float64 // cores or bytes that could be given back; 0 where it is not worth it
}

// worthwhile is the share of a reservation below which nothing is proposed.
const worthwhile = 0.2

// spare is what of a reservation could be given back; nothing where either
// side is not known. It puts the numbers into facts.
func (p *Pass) spare(e evidence.Entity, r reservation, facts map[string]string) spared {
	have, ok := meanOf(p.seriesAt(r.reserved, e))
	_, values := sumSeries(p.seriesAt(r.used, e))
	if !ok || have <= 0 || len(values) < leakPoints {
		return spared{}
	}
	need := quantile(values, 0.99) * r.headroom
	out := spared{share: clamp01(1 - need/have)}
	p.Report(Finding{Kind: r.finds, Entity: e, Value: out.share, Unit: "1", Text: fmt.Sprintf("it reserves %s; its peak and headroom need %s", r.text(have), r.text(need))})
	if out.share >= worthwhile {
		out.back = have - need
		facts[r.name], facts[r.name+"_proposed"], facts[r.name+"_spare"] = r.text(have), r.text(need), r.text(out.back)
	}
	return out
}

// hoursPerMonth is what clouds bill a month as.
const hoursPerMonth = 730

// money that cores and bytes cost a month; "" where no price is configured for
// what could be given back.
func (p *Pass) money(cores, bytes float64) string {
	prices := p.Bundle.Prices
	if prices == nil {
		return ""
	}
	month := hoursPerMonth * (cores*prices.CoreHour + bytes/(1<<30)*prices.GiBHour)
	if month <= 0 {
		return ""
	}
	return fmt.Sprintf("%s %s a month", decimals(month, 2), prices.Currency)
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
