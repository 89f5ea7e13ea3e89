package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Bars that a hypothesis must clear to be called a cause.
const (
	minScore = 0.5
	// minSaved: below 5 ms of p95 nobody feels a request get faster, and the
	// error of histogram buckets is of that size.
	minSaved = 0.005
	// On a slow operation a cause must account for a tenth of its p95; on one
	// that is not known to be slow (no baseline, within its objective) for a
	// quarter: then the avoidable share is itself the symptom.
	minShareSlow = 0.10
	minShare     = 0.25
	// boundedGain is what an upper bound counts for: a call that is faster is
	// still a call, and a mechanism that explains why it is slow comes first.
	boundedGain = 0.5
	// lateWeight weighs against a mechanism that began after the symptom.
	lateWeight = 0.5
	// noImpactCap caps a score whose gain could not be measured: the
	// mechanism is there, that it hurts is not shown.
	noImpactCap = 0.45
	// flawedRunCap caps the score of every cause of a flawed run: what was not
	// sent was not slow, and might have shown another cause.
	flawedRunCap = 0.8
)

// Judge weighs every rule against every subject its finding names, and ranks
// what is believed by expected gain times score.
func (c *Catalogue) Judge(b *evidence.Bundle, r *analyzers.Result) *Judgement {
	j := &Judgement{Notes: slices.Clone(c.Notes)}
	var believed []*Hypothesis
	for _, rule := range c.Rules {
		for i := range r.Findings {
			if f := &r.Findings[i]; slices.Contains(rule.Subject, f.Kind) {
				if h := j.consider(rule, f, r); h != nil {
					believed = append(believed, h)
				}
			}
		}
	}
	j.weaken(believed)
	slices.SortStableFunc(believed, compareHypotheses)
	j.Causes = nest(believed)
	j.sortRest()
	j.Blind = c.blindTo(b, r)
	j.conclude(b, r)
	return j
}

// consider weighs one hypothesis; nil when it is not believed, and then it
// stands among the rejected, the leads or the housekeeping.
func (j *Judgement) consider(rule *Rule, f *analyzers.Finding, r *analyzers.Result) *Hypothesis {
	h := &Hypothesis{Rule: rule, Subject: f.Entity, Impact: f.Impact, Finding: f, Victims: f.Victims, Fingerprint: fingerprint(rule.ID, f.Entity)}
	h.fillTexts()
	reason := h.weigh(r)
	if reason == "" && rule.As != AsCause {
		j.file(h)
		return nil
	}
	if reason == "" {
		reason = h.gainReason(r)
	}
	if reason == "" {
		return h
	}
	j.Rejected = append(j.Rejected, Rejected{Rule: rule.ID, Subject: h.Subject, Reason: reason})
	switch {
	case rule.As != AsCause: // what is no cause is no lead either
	case h.Score >= minScore && h.Impact != nil:
		j.Housekeeping = append(j.Housekeeping, h)
	case h.Score >= minScore/2 && !h.idle():
		j.Leads = append(j.Leads, h)
	}
	return nil
}

// file puts a hypothesis that is believed and is no cause where it belongs.
func (j *Judgement) file(h *Hypothesis) {
	if h.Rule.As == AsHousekeeping {
		j.Housekeeping = append(j.Housekeeping, h)
		return
	}
	j.Flaws = append(j.Flaws, h)
	j.Notes = append(j.Notes, fmt.Sprintf("%s: %s. No score is above %.1f.", h.Rule.Title, h.Finding.Text, flawedRunCap))
	j.Notes = append(j.Notes, h.Remedy...)
}

// weaken caps the scores of causes found in a flawed run.
func (j *Judgement) weaken(believed []*Hypothesis) {
	if len(j.Flaws) == 0 {
		return
	}
	for _, h := range believed {
		h.Score = min(h.Score, flawedRunCap)
	}
}

func (h *Hypothesis) fillTexts() {
	facts := h.facts()
	for _, text := range h.Rule.Remedy {
		if line := fill(text, facts); line != "" {
			h.Remedy = append(h.Remedy, line)
		}
	}
	h.Verify = fill(h.Rule.Verify, facts)
	h.NotWhen = fill(h.Rule.NotWhen, facts)
}

// facts are the finding's, with where it lies: the words of a rule's texts.
func (h *Hypothesis) facts() map[string]string {
	out := map[string]string{"service": h.Subject.Service, "operation": h.Subject.Operation, "instance": h.Subject.Instance, "resource": h.Subject.Resource}
	for k, v := range h.Finding.Facts {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// weigh fills the account and the score; a reason when the rule's own
// conditions or the score reject it.
func (h *Hypothesis) weigh(r *analyzers.Result) string {
	needed, reason := h.weighNeeds(r)
	support := h.weighSupport(r)
	h.Score = needed * (0.5 + 0.5*support) * h.weighAgainst(r) * h.weighOnset(r)
	if h.Impact == nil && h.Rule.As == AsCause {
		h.Score = min(h.Score, noImpactCap)
	}
	if reason == "" && h.Score < minScore {
		reason = fmt.Sprintf("the evidence weighs %.2f, a cause needs %.2f", h.Score, minScore)
		if h.Impact == nil && h.Rule.As == AsCause {
			reason += "; no request was seen to wait for it"
		}
	}
	return reason
}

// weighNeeds is the weakest of what a rule needs, 0..1, and why it is 0. Of a
// group the strongest counts, and it alone stands in the account: where one
// witness of a thing suffices, another that was not asked is no loss.
func (h *Hypothesis) weighNeeds(r *analyzers.Result) (needed float64, reason string) {
	best := map[string]Entry{}
	var order []string
	for i, c := range h.Rule.When {
		e := evaluate(c, h, r, true)
		group := cmp.Or(c.Group, fmt.Sprint(i))
		if b, seen := best[group]; !seen {
			best[group], order = e, append(order, group)
		} else if e.Strength > b.Strength || b.Verdict == Unknown {
			best[group] = e
		}
	}
	needed = 1
	for _, group := range order {
		e := best[group]
		h.Account = append(h.Account, e)
		needed = min(needed, e.Strength)
		if e.Strength == 0 && reason == "" {
			reason = e.rejection()
		}
	}
	return needed, reason
}

// weighSupport is the share, 0..1, of the weight in `for` that is borne out.
// What is unknown bears nothing out: to see less never raises a score.
func (h *Hypothesis) weighSupport(r *analyzers.Result) float64 {
	if len(h.Rule.For) == 0 {
		return 1
	}
	best, weight := map[string]float64{}, map[string]float64{}
	for i, c := range h.Rule.For {
		e := evaluate(c, h, r, true)
		h.Account = append(h.Account, e)
		group := cmp.Or(c.Group, fmt.Sprint(i))
		best[group] = max(best[group], c.Weight*e.Strength)
		weight[group] = max(weight[group], c.Weight)
	}
	var got, all float64
	for i, c := range h.Rule.For { // in the rule's order: sums of floats depend on it
		group := cmp.Or(c.Group, fmt.Sprint(i))
		got, all = got+best[group], all+weight[group]
		best[group], weight[group] = 0, 0
	}
	if all == 0 {
		return 1
	}
	return got / all
}

// weighAgainst is the factor that contradicting evidence leaves of a score.
// A witness that is missing counts as if it contradicted: it might have, and
// to lose a witness must not raise a score.
func (h *Hypothesis) weighAgainst(r *analyzers.Result) float64 {
	left := 1.0
	for _, c := range h.Rule.Against {
		e := evaluate(c, h, r, false)
		h.Account = append(h.Account, e)
		if e.Verdict == Unknown {
			e.Strength = 1
		}
		left *= 1 - c.Weight*e.Strength
	}
	return left
}

// weighOnset is the factor left to a mechanism by its onset: a cause begins no
// later than what it causes.
func (h *Hypothesis) weighOnset(r *analyzers.Result) float64 {
	if h.Impact == nil {
		return 1
	}
	s := r.Facts.Symptom(h.Impact.Operation.Service, h.Impact.Operation.Operation)
	if s == nil {
		return 1
	}
	late := analyzers.Late(h.Finding.Onset, s.Onset)
	if late == 0 {
		return 1
	}
	h.Account = append(h.Account, Entry{Condition: Condition{Finding: h.Finding.Kind, Weight: lateWeight}, Verdict: Present, Strength: 1,
		Text: fmt.Sprintf("it began %.0f s after %s became slow", late, s.Entity)})
	return 1 - lateWeight
}

// idle: it was seen that without it nobody would be noticeably faster.
func (h *Hypothesis) idle() bool {
	return h.Impact != nil && (h.Impact.Saved() < minSaved || h.Impact.Share() < minShareSlow)
}

// gainReason says why the gain is too small to call this the cause, or "".
func (h *Hypothesis) gainReason(r *analyzers.Result) string {
	i := h.Impact
	if i == nil {
		return "" // the score is capped below the bar already
	}
	bar := minShare
	if s := r.Facts.Symptom(i.Operation.Service, i.Operation.Operation); i.Spell != nil || s != nil && s.Slow {
		bar = minShareSlow
	} else if i.AtMost {
		return fmt.Sprintf("%s is not slow, and what of its p%.0f of %s could be spared is not known", i.Operation, i.Percentile*100, latency(i.Now))
	}
	if i.Saved() < minSaved || i.Share() < bar {
		return fmt.Sprintf("removing it would take the p%.0f of %s from %s to %s: too little to be what made the run slow", i.Percentile*100, i.Operation, latency(i.Now), latency(i.Then))
	}
	return ""
}

// gain orders causes: expected seconds saved at the tail, tempered by the
// weight of evidence.
func (h *Hypothesis) gain() float64 {
	if h.Impact == nil {
		return 0
	}
	if h.Impact.AtMost {
		return h.Impact.Saved() * h.Score * boundedGain
	}
	return h.Impact.Saved() * h.Score
}

func compareHypotheses(x, y *Hypothesis) int {
	return cmp.Or(cmp.Compare(y.gain(), x.gain()), cmp.Compare(y.Score, x.Score), cmp.Compare(x.Rule.ID, y.Rule.ID), x.Subject.Compare(y.Subject))
}

func (j *Judgement) sortRest() {
	slices.SortStableFunc(j.Rejected, func(x, y Rejected) int {
		return cmp.Or(cmp.Compare(x.Rule, y.Rule), x.Subject.Compare(y.Subject), cmp.Compare(x.Reason, y.Reason))
	})
	byScore := func(x, y *Hypothesis) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.Rule.ID, y.Rule.ID), x.Subject.Compare(y.Subject))
	}
	slices.SortStableFunc(j.Leads, byScore)
	slices.SortStableFunc(j.Housekeeping, byScore)
}

// fingerprint of a cause, stable across runs: what it is and where, no
// numbers.
func fingerprint(rule string, e evidence.Entity) string {
	h := sha256.Sum256([]byte(rule + "\x00" + e.Service + "\x00" + e.Operation + "\x00" + e.Resource))
	return hex.EncodeToString(h[:8])
}
