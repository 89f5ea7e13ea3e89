package analyzers

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// FindStatementTail is how many times the server's own mean the slowest
	// hundredth of a statement's calls takes, as their client sees it.
	FindStatementTail Kind = "statement.tail"
	// FindStatementGap is the time of a call beyond the server's own: s, mean.
	FindStatementGap Kind = "statement.gap"
)

const (
	// tailRatio of the slowest calls to the server's mean and to the client's
	// median that work alone seldom explains: waits do, for locks, for a
	// processor, for the log, on the network.
	tailRatio = 10.0
	// wideSpread: a standard deviation of so many means says that the server
	// itself saw the slow calls. An exponential distribution has one.
	wideSpread = 2.0
	// leastWait of a slow call beyond the mean to be worth telling.
	leastWait = 0.010
	// leastGap of the means, in s, that is not rounding.
	leastGap = 0.0001
	// waitTail is the percentile taken for the slowest calls.
	waitTail = 0.99
	// mostStatements bounds the findings, the most time waited first.
	mostStatements = 20
)

var statementWaits = Analyzer{
	Name: "statement-waits",
	Doc: "Compares what clients see of a statement (spans) with the server's own account of it (pg_stat_statements): the gap of the means is network, driver, fetching and waiting for a connection; " +
		"where the slowest hundredth of the calls takes ten times the server's mean and the client's median, these calls waited: inside the server (a lock, as a rule) where its own times spread as widely, else outside. The gain brings the calls beyond the median to it.",
	Needs: []evidence.Kind{evidence.Spans, evidence.PGStatements},
	Finds: []Kind{FindStatementTail, FindStatementGap},
	Run:   runStatementWaits,
}

// seenStatement is a statement as both sides see it; times in s.
type seenStatement struct {
	key, text   string
	server      float64 // mean
	spread      float64 // of the server's times, standard deviation over mean; 0 where it is not known
	client      float64 // mean, weighted
	median, p99 float64
	spans       *spanSet
}

func (s *seenStatement) waited() float64 { return s.client - s.server }

func runStatementWaits(p *Pass) error {
	var all []*seenStatement
	for i := range p.Bundle.Postgres {
		for key, s := range statementsOf(&p.Bundle.Postgres[i]) {
			if s.see(p.Facts.statementSpans(key)) {
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b *seenStatement) int {
		return cmp.Or(cmp.Compare(b.waited()*float64(len(b.spans.spans)), a.waited()*float64(len(a.spans.spans))), cmp.Compare(a.key, b.key), cmp.Compare(a.server, b.server))
	})
	for _, s := range all[:min(len(all), mostStatements)] {
		p.reportStatementWaits(s)
	}
	return nil
}

// statementsOf a server by key: several of its entries may share one.
func statementsOf(pg *evidence.Postgres) map[string]*seenStatement {
	all, calls := map[string]*seenStatement{}, map[string]float64{}
	for i := range pg.Statements {
		s := &pg.Statements[i]
		if s.Key == "" || s.Calls < minStatements {
			continue
		}
		x := all[s.Key]
		if x == nil {
			x = &seenStatement{key: s.Key}
			all[s.Key] = x
		}
		x.server += s.Exec + s.Plan
		x.spread = max(x.spread, per(s.StddevExec, s.Mean()))
		calls[s.Key] += s.Calls
	}
	for key, s := range all {
		s.server = per(s.server, calls[key])
	}
	return all
}

// see takes in the statement's calls in the traces; false where these are few,
// or the statement asks for nothing.
func (s *seenStatement) see(spans *spanSet) bool {
	s.spans = spans
	if len(spans.spans) < minStatements || s.server <= 0 {
		return false
	}
	first, call := spans.traces[0], spans.at(0)[0]
	if isPlumbing(&first.Spans[call]) {
		return false
	}
	s.text = first.calleeOf(call).String()
	sample := &requestSample{}
	sum := 0.0
	for k, t := range s.spans.traces {
		sample.add(t, s.spans.at(k))
		for _, i := range s.spans.at(k) {
			sum += t.Weight * seconds(t.Spans[i].Duration())
		}
	}
	sample.sort()
	o := ordered{sample.durations, sample.byDuration}
	s.client = sum / sample.weight
	s.median, s.p99 = seconds(sample.percentile(o, 0.5, recorded)), seconds(sample.percentile(o, waitTail, recorded))
	return true
}

func (p *Pass) reportStatementWaits(s *seenStatement) {
	e := p.Facts.callers(s.key)[0]
	e.Resource = s.text
	refs := typicalSlow(s.spans.traces, 2)
	if gap := s.waited(); gap >= leastGap {
		p.Report(Finding{Kind: FindStatementGap, Entity: e, Value: gap, Baseline: s.server, Unit: "s", Refs: refs,
			Text: fmt.Sprintf("A call takes %s for its client and %s for the server: %s.", duration(s.client), duration(s.server), shorten(s.text, 100))})
	}
	if s.p99 < tailRatio*max(s.server, s.median) || s.p99-s.server < leastWait {
		return
	}
	impact, hurt := p.predictWorst(s.spans.traces, s.cuts)
	p.Report(Finding{Kind: FindStatementTail, Entity: e, Value: s.p99 / s.server, Unit: "1", Refs: refs, Impact: impact, Victims: hurt,
		Facts: map[string]string{"statement": s.text, "where": s.where()},
		Text: fmt.Sprintf("One call in a hundred takes %s where the client's median is %s and the server's mean %s: it waited %s. %s",
			duration(s.p99), duration(s.median), duration(s.server), s.where(), shorten(s.text, 100))})
}

// where the slow calls waited, by the server's own account.
func (s *seenStatement) where() string {
	switch {
	case s.spread == 0:
		return "inside or outside of the server"
	case s.spread >= wideSpread:
		return "inside the server"
	}
	return "outside of the server's execution"
}

func (s *seenStatement) cuts(t *Trace) Cuts {
	c := t.NewCuts()
	for _, i := range s.spans.of(t) {
		t.CutSelf(c, i, t.Spans[i].Duration()-int64(s.median*1e9))
	}
	return c
}
