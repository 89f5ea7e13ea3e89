package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

func counted(p50, p95 float64) analyzers.Symptom {
	return analyzers.Symptom{Entity: evidence.Entity{Service: "gateway", Operation: "GET /best"}, Source: "histograms",
		Requests: 1000, P50: p50, P95: p95, P95Low: p95 * 0.9}
}

func verdictOn(s analyzers.Symptom, slow ...analyzers.Symptom) *Judgement {
	j := &Judgement{}
	j.conclude(&evidence.Bundle{}, &analyzers.Result{Facts: &analyzers.Facts{Symptoms: []analyzers.Symptom{s}, Slow: slow}})
	return j
}

// Where one request in twenty takes far longer than the usual one, and long
// enough to be felt, nobody says that there is no problem; a sample of traces,
// or a tail that nobody feels, is no reason to say so.
func TestUnevenIsNoAllClear(t *testing.T) {
	s := counted(0.0007, 0.235)
	if j := verdictOn(s); j.Status != Inconclusive || !strings.HasPrefix(j.Headline, "One request in twenty to gateway GET /best takes 235 ms or more, 336 times the usual one of 0.7 ms") {
		t.Errorf("%s: %s", j.Status, j.Headline)
	}
	sampled := s
	sampled.Source = "traces"
	for name, s := range map[string]analyzers.Symptom{"sampled": sampled, "not felt": counted(0.0007, 0.09), "of one kind": counted(0.087, 0.235)} {
		if j := verdictOn(s); j.Status != NoProblem {
			t.Errorf("%s: %s: %s", name, j.Status, j.Headline)
		}
	}
}

func TestSpellInTheVerdict(t *testing.T) {
	from := time.Date(2026, 3, 1, 14, 3, 10, 0, time.UTC)
	spell := &analyzers.Spell{From: from.UnixMilli(), To: from.Add(20 * time.Second).UnixMilli(), P95: 0.41, RestP95: 0.02}
	s := counted(0.01, 0.02)
	s.Spell, s.Why = spell, "p95 "+spell.Text()
	const unknown = "gateway GET /best was slow for a while (p95 was 410 ms from 14:03:10 to 14:03:30 UTC, 20 ms otherwise), and no cause reached the bar of evidence."
	if j := verdictOn(s, s); j.Status != Inconclusive || j.Headline != unknown {
		t.Errorf("%s: %s", j.Status, j.Headline)
	}
	h := &Hypothesis{Rule: &Rule{Title: "CPU throttling: stalled"}, Subject: evidence.Entity{Service: "catalog"}, Score: 0.9,
		Impact: &analyzers.Impact{Operation: s.Entity, Percentile: 0.95, Now: 0.41, Then: 0.03, Spell: spell}}
	const known = "From 14:03:10 to 14:03:30 UTC gateway GET /best had a p95 of 410 ms. Culprit: CPU throttling, catalog. Without it the p95 then would be about 30 ms."
	if got := causeHeadline([]*Hypothesis{h}); got != known {
		t.Errorf("%q", got)
	}
}
