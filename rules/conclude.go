package rules

import (
	"fmt"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// minRunRequests below which nothing can be said of a run's percentiles.
const minRunRequests = 20

// conclude writes the verdict.
func (j *Judgement) conclude(b *evidence.Bundle, r *analyzers.Result) {
	requests := 0.0
	for _, s := range r.Facts.Symptoms {
		requests += s.Requests
	}
	switch {
	case len(j.Causes) > 0:
		j.Status, j.Headline = CausesFound, causeHeadline(j.Causes)
	case len(r.Facts.Symptoms) == 0:
		j.Status = Inconclusive
		j.Headline = "No request latency was seen: neither a latency histogram nor a server span lies in the window, so that nothing can be said about slowness."
	case requests < minRunRequests:
		j.Status = RunUnusable
		j.Headline = fmt.Sprintf("Only %.0f requests lie in the window: too few for a percentile. Run more load, or widen the window.", requests)
	case len(r.Facts.Slow) > 0:
		j.Status, j.Headline = Inconclusive, unexplained(r.Facts.Slow[0], j.Leads)
	case len(j.Flaws) > 0:
		j.Status = RunUnusable
		j.Headline = fmt.Sprintf("Nothing was slow, but the system was not loaded as planned: %s.", j.Flaws[0].Finding.Text)
	default:
		j.Status, j.Headline = NoProblem, healthy(r.Facts)
	}
}

// causeHeadline is the report's first line: what is slow, why, what fixing it
// buys.
func causeHeadline(causes []*Hypothesis) string {
	h := causes[0]
	i := h.Impact
	text := fmt.Sprintf("%s has a p%.0f of %s. The culprit is %s: %s. Without it the p%.0f would be about %s.",
		i.Operation, i.Percentile*100, milliseconds(i.Now), belief(h.Score)+h.Rule.ID, h.Subject, i.Percentile*100, milliseconds(i.Then))
	if n := len(causes) - 1; n > 0 {
		text += fmt.Sprintf(" %d further cause%s below.", n, plural(n))
	}
	return text
}

// belief puts a score in words.
func belief(score float64) string {
	switch {
	case score >= 0.85:
		return ""
	case score >= 0.7:
		return "probably "
	}
	return "possibly "
}

func unexplained(s analyzers.Symptom, leads []*Hypothesis) string {
	text := fmt.Sprintf("%s is slow (p95 %s; %s), and no cause reached the bar of evidence.", s.Entity, milliseconds(s.P95), s.Why)
	if len(leads) > 0 {
		text += fmt.Sprintf(" The best lead is %s: %s.", leads[0].Rule.ID, leads[0].Subject)
	}
	return text
}

func healthy(f *analyzers.Facts) string {
	worst := f.Symptoms[0]
	for _, s := range f.Symptoms {
		if s.P95 > worst.P95 {
			worst = s
		}
	}
	return fmt.Sprintf("No problem found: no operation is slow. The slowest is %s with a p95 of %s.", worst.Entity, milliseconds(worst.P95))
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
