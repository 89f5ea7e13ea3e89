package analyzers

import (
	"fmt"
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindConnections         Kind = "connections.limited"  // how close to its limit a server was while requests were slow, 0..1
	FindConnectionsUse      Kind = "connections.use"      // connections / those there may be, 0..1
	FindConnectionsRejected Kind = "connections.rejected" // connections refused a second
)

// connectionLimit measures servers that run out of connections. 0.9 of the
// limit is where the public observers alert; a few are kept for superusers.
var connectionLimit = Analyzer{
	Name:  "connection-limit",
	Doc:   "Connections of a server against its limit, and those it refused; the gain by taking failed attempts to connect, and the pauses between them, out of the traces, and where no driver tells of them by bringing database calls, and what their callers do before them, to what they take while there is room.",
	Uses:  []evidence.Kind{evidence.DBConnections, evidence.DBConnectionsMax, evidence.DBConnectionsRejected, evidence.PGSettings, evidence.Spans},
	Finds: []Kind{FindConnections, overlap(FindConnections), FindConnectionsUse, FindConnectionsRejected},
	Run:   runConnectionLimit,
}

func runConnectionLimit(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.DBConnections), p.entitiesOf(evidence.DBConnectionsRejected)) {
		facts := map[string]string{"server": consumerName(e)}
		if limit, ok := meanOf(p.seriesAt(evidence.DBConnectionsMax, e)); ok && limit > 0 {
			facts["max"], facts["proposed"] = decimals(limit, 0), decimals(math.Ceil(limit*1.5), 0)
		}
		s := stall{finds: FindConnections, entity: e, stalled: databaseCallers, facts: facts,
			text: fmt.Sprintf("%s was out of connections while requests were slow", e),
			witnesses: []*witness{
				witnessOf(p.seriesAt(evidence.DBConnections, e), witness{finds: FindConnectionsUse, unit: "1", none: 0.9, full: 0.99,
					text: func(v float64) string { return percent(v) + " of the connections it may have were open" }}).over(p.seriesAt(evidence.DBConnectionsMax, e)),
				witnessOf(p.seriesAt(evidence.DBConnectionsRejected, e), witness{finds: FindConnectionsRejected, unit: "1/s", none: 0, full: 0.5,
					text: func(v float64) string { return decimals(v, 2) + " connections a second were refused" }}),
			}}
		p.accountFor(&s)
		p.reportStall(s)
	}
	p.reportRefusals()
	return nil
}

// reportRefusals are of servers that let nobody look at their connections.
func (p *Pass) reportRefusals() {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if pg.Refused == 0 || len(p.connectionsOf(pg)) > 0 {
			continue
		}
		f := Finding{Kind: FindConnections, Entity: evidence.Entity{Resource: pg.Server.Name}, Value: 1, Unit: "1", Facts: p.connectionFacts(pg, map[string]string{"server": pg.Server.Name}),
			Text: fmt.Sprintf("%s refused %d attempts to look at it for too many connections", pg.Server.Name, pg.Refused)}
		f.Impact, f.Victims = p.predictWorst(p.Facts.tracesWith(failedConnect), cutRefusals)
		p.Report(f)
	}
}

// accountFor adds what PostgreSQL's own account says of a server's limit, and
// where drivers tell of the connections that they were refused, takes what
// those cost instead of all that callers took beyond their need.
func (p *Pass) accountFor(s *stall) {
	for i := range p.Bundle.Postgres {
		if pg := &p.Bundle.Postgres[i]; pg.Server.Name == s.entity.Resource {
			s.facts = p.connectionFacts(pg, s.facts)
		}
	}
	refused := p.Facts.tracesWith(failedConnect)
	if len(refused) > 0 {
		s.stalled = nil
		s.account = func(p *Pass) (*Impact, []evidence.Entity) { return p.predictWorst(refused, cutRefusals) }
	}
}

// failedConnect is an attempt to connect that came to nothing.
func failedConnect(s *evidence.Span) bool {
	return isConnect(s) && s.Error || s.Attr(evidence.AttrErrorType) == "53300"
}

// cutRefusals takes out each attempt to connect that failed, and the pause
// before the next: what its caller did until it made another call.
func cutRefusals(t *Trace) Cuts {
	c := t.cutWhere(failedConnect)
	pauses := map[int32]int64{}
	for i := range t.Spans {
		at := int32(i)
		if !failedConnect(&t.Spans[i]) {
			continue
		}
		up := t.Parent[at]
		for up >= 0 && isDatabaseCall(&t.Spans[up]) && t.Spans[up].Error { // the driver's own spans around it failed with it
			t.CutSubtree(c, up)
			at, up = up, t.Parent[up]
		}
		if up >= 0 {
			pauses[up] += t.pauseAfter(up, at)
		}
	}
	for up, ns := range pauses {
		t.CutSelf(c, up, ns)
	}
	return c
}

// pauseAfter is how long a span worked by itself between the end of something
// below it and its next call, in ns; 0 where none follows: the pause was not
// for another attempt.
func (t *Trace) pauseAfter(span, below int32) int64 {
	end := t.Spans[below].End
	for _, k := range t.children(span) {
		if t.Spans[k].Start >= end {
			return t.Spans[k].Start - end
		}
	}
	return 0
}
