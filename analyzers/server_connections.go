package analyzers

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindServerConnections Kind = "server.connections" // connections over those that roles may open, 0..1, 95th percentile; 1 where some were refused
	FindServerRefused     Kind = "server.refused"     // share of our own attempts that the server refused for too many connections, 0..1
	FindServerPools       Kind = "server.pools"       // sum of the application pools' limits over the server's
)

// serverConnections measures how near a server is to its connection limit.
// Refused clients leave no trace in its statistics (939 of 1,615 attempts
// failed, pg_stat_database counted only the others): our own refusals are
// evidence.
var serverConnections = Analyzer{
	Name:  "server-connections",
	Doc:   "Connections in use against max_connections less the reserved ones, refused attempts, and the sum of the pools in front.",
	Needs: []evidence.Kind{evidence.PGSettings},
	Uses:  []evidence.Kind{evidence.DBConnections, evidence.PoolMax},
	Finds: []Kind{FindServerConnections, FindServerRefused, FindServerPools},
	Run:   runServerConnections,
}

func runServerConnections(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if limit := serverLimit(pg); limit > 0 {
			reportConnections(p, pg, limit)
		}
	}
	return nil
}

// serverLimit is what roles without privileges may open, 0 if not known.
func serverLimit(pg *evidence.Postgres) float64 {
	number := func(name string) float64 {
		v, _ := strconv.ParseFloat(pg.Server.Settings[name], 64) // absent in older versions: none reserved
		return v
	}
	return number("max_connections") - number("superuser_reserved_connections") - number("reserved_connections")
}

func reportConnections(p *Pass, pg *evidence.Postgres, limit float64) {
	used := p.connectionsOf(pg)
	if len(used) == 0 && pg.Refused == 0 {
		return
	}
	top := quantile(used, 0.95)
	share := clamp01(top / limit)
	text := fmt.Sprintf("%.0f of %.0f connections of %s were taken", top, limit, pg.Server.Name)
	e := evidence.Entity{Instance: pg.Server.Name, Resource: pg.Server.Name}
	if pg.Refused > 0 {
		share = 1
		text += fmt.Sprintf("; it refused %d of our own attempts for too many connections", pg.Refused)
	}
	p.Report(Finding{Kind: FindServerConnections, Entity: e, Value: share, Unit: "1", Text: text, Refs: []evidence.Ref{{Source: "postgres", Query: "SELECT count(*), current_setting('max_connections') FROM pg_stat_activity WHERE backend_type = 'client backend'"}}})
	p.Report(Finding{Kind: FindServerRefused, Entity: e, Value: per(float64(pg.Refused), float64(pg.Refused+pg.Ticks)), Unit: "1",
		Text: fmt.Sprintf("%d of %d attempts to look at the server were refused for too many connections (SQLSTATE 53300)", pg.Refused, pg.Refused+pg.Ticks)})
	if pools, sum := p.poolsOf(); sum > 0 {
		p.Report(Finding{Kind: FindServerPools, Entity: e, Value: sum / limit, Unit: "1", Text: fmt.Sprintf("the pools in front may open %.0f connections together, the server takes %.0f: %s", sum, limit, pools)})
	}
}

// connectionsOf a server that were open, over time.
func (p *Pass) connectionsOf(pg *evidence.Postgres) []float64 {
	_, used := sumSeries(p.seriesOf(evidence.DBConnections, func(e evidence.Entity) bool { return e.Resource == pg.Server.Name }))
	return used
}

// connectionFacts are what the remedy speaks of.
func (p *Pass) connectionFacts(pg *evidence.Postgres, facts map[string]string) map[string]string {
	if used := p.connectionsOf(pg); len(used) > 0 {
		facts["used"], facts["limit"] = fmt.Sprintf("%.0f", quantile(used, 0.95)), fmt.Sprintf("%.0f", serverLimit(pg))
	}
	facts["pools"], _ = p.poolsOf()
	return serverFacts(pg, facts)
}

// poolsOf lists the application pools and the sum of their limits. Pools of
// other databases cannot be told apart and count too.
func (p *Pass) poolsOf() (list string, sum float64) {
	var parts []string
	for _, e := range p.entitiesOf(evidence.PoolMax) {
		if strings.HasPrefix(e.Resource, "redis") {
			continue
		}
		if limit, ok := meanOf(p.seriesAt(evidence.PoolMax, e)); ok && limit > 0 && limit < 1e6 {
			sum += limit
			parts = append(parts, fmt.Sprintf("%s %.0f", cmp.Or(e.Service, e.Resource), limit))
		}
	}
	return strings.Join(parts, ", "), sum
}

// isConnect recognises the span that a driver records while it opens a
// connection to a database.
func isConnect(s *evidence.Span) bool {
	if s.Attr(evidence.AttrDBSystem) == "" || isCacheSystem(s.Attr(evidence.AttrDBSystem)) {
		return false
	}
	name := strings.ToLower(s.Name)
	return strings.HasPrefix(name, "connect") || strings.HasSuffix(name, ".connect")
}

// cutWhere removes every span that matches with what is below it.
func (t *Trace) cutWhere(match func(*evidence.Span) bool) Cuts {
	c := t.NewCuts()
	for i := range t.Spans {
		if match(&t.Spans[i]) {
			t.CutSubtree(c, int32(i))
		}
	}
	return c
}
