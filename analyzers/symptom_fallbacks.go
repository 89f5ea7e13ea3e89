package analyzers

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Where Source of a Symptom says that no server told of requests.
const (
	fromClient     = "load"       // the load tool's own figures, by the name it gives a request
	fromStatements = "statements" // the database's statements stand for requests
)

// measured reports whether a percentile of any of them says something.
func measured(symptoms []Symptom) bool {
	return slices.ContainsFunc(symptoms, func(s Symptom) bool { return s.Requests >= minRequests })
}

// fallbackSymptoms are for a run in which no server's latency was measured:
// what the load tool saw of its requests, else what the database says of its
// statements, which is how much of the latency it can see by itself.
func fallbackSymptoms(b *evidence.Bundle) []Symptom {
	if out := symptomsOfLoad(b); len(out) > 0 {
		return out
	}
	return symptomsOfStatements(b)
}

// symptomsOfLoad are none where nothing else was read: of a system that nobody
// looked at nothing can be said.
func symptomsOfLoad(b *evidence.Bundle) []Symptom {
	if len(b.Series)+len(b.Histograms)+len(b.Spans)+len(b.Postgres) == 0 {
		return nil
	}
	var out []Symptom
	for i := range b.Loads {
		l := &b.Loads[i]
		for _, r := range l.Requests {
			if r.Name == "" && len(l.Requests) > 1 || r.P95 <= 0 {
				continue // the sum of those that have names
			}
			out = append(out, symptomOfLoad(b, l, r))
		}
	}
	return out
}

func symptomOfLoad(b *evidence.Bundle, l *evidence.LoadRun, r evidence.LoadStat) Symptom {
	s := Symptom{Entity: evidence.Entity{Service: l.Tool, Operation: cmp.Or(r.Name, "all requests")}, Source: fromClient,
		Requests: r.Count, RPS: per(r.Count, float64(l.End-l.Start)/1000), ErrorRatio: per(r.Failed, r.Count),
		P50: r.P50, P95: r.P95, P99: r.P99, P95Low: r.P95, P95High: r.P95}
	s.baselineFromRun(b)
	s.judge()
	return s
}

const (
	// leastOfExecutor is the share of the executor's time that a statement must
	// take to stand for requests.
	leastOfExecutor = 0.01
	nameRunes       = 80 // of a statement that stands for an operation
)

// The quantiles of a normal distribution, in standard deviations above the
// mean: pg_stat_statements keeps no more than these two of a statement's times.
const (
	normalP95 = 1.645
	normalP99 = 2.326
)

func symptomsOfStatements(b *evidence.Bundle) []Symptom {
	var out []Symptom
	seen := map[evidence.Entity]bool{}
	for i := range b.Postgres {
		pg := &b.Postgres[i]
		total := execTotal(pg)
		for k := range pg.Statements {
			st := &pg.Statements[k]
			s := symptomOfStatement(b, pg, st)
			if st.TopLevel && st.Exec >= leastOfExecutor*total && !seen[s.Entity] {
				seen[s.Entity] = true
				out = append(out, s)
			}
		}
	}
	return out
}

func symptomOfStatement(b *evidence.Bundle, pg *evidence.Postgres, st *evidence.Statement) Symptom {
	normal, _ := evidence.NormalizeSQL(st.Text)
	mean, deviation := per(st.Exec+st.Plan, st.Calls), st.StddevExec
	s := Symptom{Entity: evidence.Entity{Service: cmp.Or(pg.Server.Name, "postgresql"), Operation: shorten(normal, nameRunes)}, Source: fromStatements,
		Requests: st.Calls, RPS: per(st.Calls, accountSeconds(pg)), Refs: []evidence.Ref{statementRef(st)},
		P50: mean, P95: mean + normalP95*deviation, P99: mean + normalP99*deviation}
	s.P95Low, s.P95High = mean, s.P99
	s.baselineFromRun(b)
	s.judge()
	return s
}

// StandIns says what stands for the requests where no server told of them, ""
// where one did.
func (f *Facts) StandIns() string {
	switch {
	case len(f.Symptoms) == 0:
	case f.Symptoms[0].Source == fromClient:
		return "No server told how long requests took: the figures of the operations are the load tool's own."
	case f.Symptoms[0].Source == fromStatements:
		return "Nobody told how long requests took: the database's statements stand for them, and their percentiles are estimated from mean and deviation."
	}
	return ""
}

// ofServers reports whether a server, or a span of one, tells of the requests.
func (s *Symptom) ofServers() bool { return s.Source == fromHistograms || s.Source == fromTraces }

// ofRequests reports whether the symptoms are requests, which is what a share
// of all statements or connections can be held against.
func (f *Facts) ofRequests() bool {
	return len(f.Symptoms) > 0 && f.Symptoms[0].Source != fromStatements
}

// Counted says whether all requests were counted, and not sampled.
func (s *Symptom) Counted() bool { return s.Source == fromHistograms || s.Source == fromClient }
