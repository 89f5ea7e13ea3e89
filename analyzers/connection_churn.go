package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindChurn     Kind = "connection.churn"      // sessions begun for each transaction
	FindChurnRate Kind = "connection.churn.rate" // sessions begun per s
)

// connectionChurn finds clients that connect anew for every few statements.
// The cost lies in fork and authentication, outside of every view: 0.022 ms a
// statement where the client saw 68 ms (PostgreSQL 15; 0.47 sessions a
// transaction, 115 a second, against 0.002).
var connectionChurn = Analyzer{
	Name:  "connection-churn",
	Doc:   "Sessions begun for each transaction, from pg_stat_database; the gain by taking out of the traces the spans of connecting and what a first statement takes beyond others, or what the database does not account for where there are none.",
	Needs: []evidence.Kind{evidence.PGDatabase},
	Uses:  []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindChurn, FindChurnRate},
	Run:   runConnectionChurn,
}

func runConnectionChurn(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if pg.Database == nil || pg.Subset || pg.Database.Sessions < fewestSightings || accountSeconds(pg) <= 0 {
			continue
		}
		reportChurn(p, pg)
	}
	return nil
}

func reportChurn(p *Pass, pg *evidence.Postgres) {
	d := pg.Database
	transactions := d.Commits + d.Rollbacks
	caller := evidence.Entity{}
	if by := p.connecting(); by != "" {
		caller.Service = by
	}
	// without traces: at most what a request takes beyond the database's own time
	beyond := 0.0
	if p.Facts.ofRequests() {
		beyond = p.Facts.Symptoms[0].P50 - per(d.ActiveTime, transactions)
	}
	connecting := p.Facts.tracesWith(isConnect)
	cold := coldStatementsOf(p.Bundle, p.Facts.Traces)
	c := p.chargeCuts(connecting, cold.cut, caller, rough{saved: evenly(beyond), method: "median request, less the database's own time"})
	if len(p.Facts.Traces) == 0 {
		c.impact.limit()
	}
	e := c.about(pg, pg.Server.Name)
	ratio, rate := per(d.Sessions, transactions), d.Sessions/accountSeconds(pg)
	p.Report(c.finding(FindChurn, e, ratio, "1", fmt.Sprintf("%.0f sessions were begun for %.0f transactions of %s: %.2f a transaction", d.Sessions, transactions, pg.Server.Name, ratio),
		serverFacts(pg, map[string]string{"rate": fmt.Sprintf("%.0f", rate), "service": caller.Service})))
	p.Report(Finding{Kind: FindChurnRate, Entity: e, Value: rate, Unit: "{session}/s", Text: fmt.Sprintf("%.0f sessions were begun a second", rate)})
}

// connecting is the service that spends most time opening connections; ""
// where no trace tells.
func (p *Pass) connecting() string {
	took := map[string]int64{}
	for _, t := range p.Facts.Traces {
		for i := range t.Spans {
			if s := &t.Spans[i]; isConnect(s) {
				took[s.Service] += s.Duration()
			}
		}
	}
	best := ""
	for service, ns := range took {
		if best == "" || ns > took[best] || ns == took[best] && service < best {
			best = service
		}
	}
	return best
}
