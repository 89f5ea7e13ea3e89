package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindUneven is how many times longer a slow call of a statement takes than a
// usual one, where the server's own account of it is not known: what is fast
// most of the time may be slow by itself for some of its parameters, or wait
// for a lock, for reads or for a core. Only the server could tell.
const FindUneven Kind = FindSlowStatement + ".uneven"

// reportUneven holds the slow calls of a statement against all of its calls by
// the same operation; where the server's own account tells, that decides.
func (p *Pass) reportUneven(g *occurrences, e evidence.Entity) {
	if own := g.example.facts["server"]; own != "" {
		p.Report(Finding{Kind: FindUneven, Entity: e, Unit: "1", Text: "The server's own account tells what a call takes: " + own + "."})
		return
	}
	var all []float64
	for _, t := range p.Facts.Traces {
		for _, c := range t.groups {
			if *c.to != g.to || *t.place(c.server) != g.place {
				continue
			}
			for _, i := range c.calls {
				all = append(all, seconds(t.Spans[i].Duration()))
			}
		}
	}
	usual := quantile(all, 0.5)
	if len(all) < minStatements || usual <= 0 {
		return
	}
	p.Report(Finding{Kind: FindUneven, Entity: e, Value: g.median / usual, Unit: "1",
		Text: fmt.Sprintf("Half of its calls take no more than %s, so that a slow one may wait for something, such as a lock: the server's own account, which was not read, would tell.", duration(usual))})
}
