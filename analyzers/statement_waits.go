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
	// tailRatio of the slowest calls to the server's mean that work alone
	// seldom explains: waits do, for locks, for a connection, on the network.
	tailRatio = 10.0
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
		"where the slowest hundredth of the calls takes ten times the server's mean, these calls waited, most likely for a lock. The gain brings the calls beyond the median to it.",
	Needs: []evidence.Kind{evidence.Spans, evidence.PGStatements},
	Finds: []Kind{FindStatementTail, FindStatementGap},
	Run:   runStatementWaits,
}

// seenStatement is a statement as both sides see it; times in s.
type seenStatement struct {
	key, text   string
	server      float64 // mean
	client      float64 // mean, weighted
	median, p99 float64
	spans       *spanSet
}

func (s *seenStatement) waited() float64 { return s.client - s.server }

func runStatementWaits(p *Pass) error {
	var all []*seenStatement
	for i := range p.Bundle.Postgres {
		for key, server := range serverMeans(&p.Bundle.Postgres[i]) {
			if s := p.seen(key, server); s != nil {
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

// serverMeans are planning and execution of one call, in s, by key: several
// entries of the server may share one.
func serverMeans(pg *evidence.Postgres) map[string]float64 {
	time, calls := map[string]float64{}, map[string]float64{}
	for i := range pg.Statements {
		s := &pg.Statements[i]
		time[s.Key] += s.Exec + s.Plan
		calls[s.Key] += s.Calls
	}
	for key := range time {
		time[key] = per(time[key], calls[key])
		if key == "" || calls[key] < minStatements {
			delete(time, key)
		}
	}
	return time
}

// seen is a statement's calls in the traces, nil where these are few.
func (p *Pass) seen(key string, server float64) *seenStatement {
	s := &seenStatement{key: key, server: server, spans: p.Facts.statementSpans(key)}
	if len(s.spans.spans) < minStatements || server <= 0 {
		return nil
	}
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
	first := s.spans.traces[0]
	s.text = first.calleeOf(s.spans.at(0)[0]).String()
	return s
}

func (p *Pass) reportStatementWaits(s *seenStatement) {
	e := p.Facts.callers(s.key)[0]
	e.Resource = s.text
	refs := typicalSlow(s.spans.traces, 2)
	if gap := s.waited(); gap >= leastGap {
		p.Report(Finding{Kind: FindStatementGap, Entity: e, Value: gap, Baseline: s.server, Unit: "s", Refs: refs,
			Text: fmt.Sprintf("A call takes %s for its client and %s for the server: %s.", duration(s.client), duration(s.server), shorten(s.text, 100))})
	}
	if s.p99 < tailRatio*s.server || s.p99-s.server < leastWait {
		return
	}
	impact, hurt := p.predictWorst(s.spans.traces, s.cuts)
	p.Report(Finding{Kind: FindStatementTail, Entity: e, Value: s.p99 / s.server, Unit: "1", Refs: refs, Impact: impact, Victims: hurt,
		Text: fmt.Sprintf("One call in a hundred takes %s where the server's mean is %s: it waited. %s", duration(s.p99), duration(s.server), shorten(s.text, 100))})
}

func (s *seenStatement) cuts(t *Trace) Cuts {
	c := t.NewCuts()
	for _, i := range s.spans.of(t) {
		t.CutSelf(c, i, t.Spans[i].Duration()-int64(s.median*1e9))
	}
	return c
}
