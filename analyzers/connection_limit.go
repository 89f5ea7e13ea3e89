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
	Doc:   "Connections of a server against its limit, and those it refused; the gain by bringing database calls, and what their callers do before them, to what they take while there is room.",
	Needs: []evidence.Kind{evidence.DBConnections},
	Uses:  []evidence.Kind{evidence.DBConnectionsMax, evidence.DBConnectionsRejected, evidence.Spans},
	Finds: []Kind{FindConnections, overlap(FindConnections), FindConnectionsUse, FindConnectionsRejected},
	Run:   runConnectionLimit,
}

func runConnectionLimit(p *Pass) error {
	for _, e := range union(p.entitiesOf(evidence.DBConnections), p.entitiesOf(evidence.DBConnectionsRejected)) {
		facts := map[string]string{"server": consumerName(e)}
		if limit, ok := meanOf(p.seriesAt(evidence.DBConnectionsMax, e)); ok && limit > 0 {
			facts["max"], facts["proposed"] = decimals(limit, 0), decimals(math.Ceil(limit*1.5), 0)
		}
		p.reportStall(stall{finds: FindConnections, entity: e, stalled: databaseCallers, facts: facts,
			text: fmt.Sprintf("%s was out of connections while requests were slow", e),
			witnesses: []*witness{
				witnessOf(p.seriesAt(evidence.DBConnections, e), witness{finds: FindConnectionsUse, unit: "1", none: 0.9, full: 0.99,
					text: func(v float64) string { return percent(v) + " of the connections it may have were open" }}).over(p.seriesAt(evidence.DBConnectionsMax, e)),
				witnessOf(p.seriesAt(evidence.DBConnectionsRejected, e), witness{finds: FindConnectionsRejected, unit: "1/s", none: 0, full: 0.5,
					text: func(v float64) string { return decimals(v, 2) + " connections a second were refused" }}),
			}})
	}
	return nil
}
