package analyzers

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// What tells of the requests, from the best witness to none.
func TestFallbackSymptoms(t *testing.T) {
	start := time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)
	window := evidence.Window{Start: start, End: start.Add(time.Minute)}
	loads := []evidence.LoadRun{{Tool: "k6", Start: start.UnixMilli(), End: start.UnixMilli() + 50_000, Requests: []evidence.LoadStat{
		{Count: 150, Failed: 5, P50: 0.1, P95: 2}, {Name: "list", Count: 100, Failed: 5, P50: 0.2, P95: 2}, {Name: "one", Count: 50, P50: 0.01, P95: 0.02}}}}
	pg := evidence.Postgres{Server: evidence.PGServer{Name: "db"}, Statements: []evidence.Statement{
		{QueryID: "1", Text: "SELECT * FROM t WHERE a = $1", TopLevel: true, Calls: 100, Exec: 20, StddevExec: 0.1},
		{QueryID: "2", Text: "SELECT 1 FROM u", TopLevel: true, Calls: 1000, Exec: 0.1}, // no hundredth of the time
	}}
	spans := tellSpans(t, strings.Repeat("0-100 shop server GET /list\n\n", 30))
	for name, c := range map[string]struct {
		bundle          evidence.Bundle
		operation, says string
		p95             float64
		n               int
	}{
		"a span":                    {evidence.Bundle{Spans: spans, Loads: loads, Postgres: []evidence.Postgres{pg}}, "GET /list", "", 0.1, 1},
		"the load tool":             {evidence.Bundle{Loads: loads, Postgres: []evidence.Postgres{pg}}, "list", "load tool", 2, 2},
		"the load tool, one figure": {evidence.Bundle{Series: []evidence.Series{{}}, Loads: []evidence.LoadRun{{Tool: "hey", End: 1000, Requests: []evidence.LoadStat{{Count: 30, P95: 1}}}}}, "all requests", "load tool", 1, 1},
		"statements":                {evidence.Bundle{Postgres: []evidence.Postgres{pg}}, "select * from t where a = ?", "statements", 0.2 + 0.1645, 1},
		"the load tool alone":       {evidence.Bundle{Loads: loads}, "", "", 0, 0},
		"nobody":                    {evidence.Bundle{}, "", "", 0, 0},
	} {
		c.bundle.Window = window
		f := factsOf(&c.bundle)
		if len(f.Symptoms) != c.n || !strings.Contains(f.StandIns(), c.says) || c.says == "" && f.StandIns() != "" {
			t.Errorf("%s: %d symptoms, %q", name, len(f.Symptoms), f.StandIns())
			continue
		}
		if c.n > 0 && (f.Symptoms[0].Entity.Operation != c.operation || math.Abs(f.Symptoms[0].P95-c.p95) > 1e-9) {
			t.Errorf("%s: %+v", name, f.Symptoms[0])
		}
	}
}

// A full table scan is priced by the statement itself where nothing else was
// measured, and by the client's requests where the load tool told of them.
func TestGainWithoutServers(t *testing.T) {
	pg := evidence.Postgres{Statements: []evidence.Statement{{QueryID: "1", Key: "k", Text: "SELECT 1", TopLevel: true, Calls: 100, Exec: 20}}}
	b := &evidence.Bundle{Postgres: []evidence.Postgres{pg}, Window: evidence.Window{End: time.Unix(60, 0)}}
	for source, want := range map[string]float64{fromStatements: 0.2, fromClient: 0.5} {
		b.Loads = nil
		if source == fromClient {
			b.Loads = []evidence.LoadRun{{Tool: "k6", End: 60_000, Requests: []evidence.LoadStat{{Count: 100, P50: 0.2, P95: 0.5}}}}
		}
		p := &Pass{Bundle: b, Facts: factsOf(b)}
		i, _ := p.orRough(nil, nil, rough{service: map[string]string{fromClient: "shop"}[source], calls: 100, saved: evenly(0.2)})
		if i == nil || math.Abs(i.Saved()-want) > 1e-9 {
			t.Errorf("%s: %+v", source, i)
		}
	}
}
