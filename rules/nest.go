package rules

import (
	"slices"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// nest puts victims under the cause that explains them, and further subjects
// of one rule at one place under the strongest. The list comes ranked and
// stays so: of two that explain each other the lower is the victim, unless one
// of them uses up what the other says is gone.
func nest(ranked []*Hypothesis) []*Hypothesis {
	owner := make([]*Hypothesis, len(ranked))
	for i, victim := range ranked {
		for k, cause := range ranked {
			mutual := k > i && victim.explains(cause) && !cause.feeds(victim) || victim.feeds(cause)
			if i != k && owner[k] == nil && !mutual && (cause.explains(victim) || k < i && cause.same(victim)) && !owns(victim, cause, ranked, owner) {
				owner[i] = cause
				cause.Explains = append(cause.Explains, victim)
				break
			}
		}
	}
	var top []*Hypothesis
	for i, h := range ranked {
		if owner[i] == nil {
			top = append(top, h)
		}
	}
	return behind(top)
}

// behind puts what a change set off right behind it: how it does it is a cause
// with a remedy of its own, whichever of the two costs more.
func behind(top []*Hypothesis) []*Hypothesis {
	var set []*Hypothesis
	for _, h := range top {
		for _, v := range top {
			if len(v.Rule.Starts) == 0 && slices.Contains(h.Rule.Starts, v.Rule.ID) && !slices.Contains(set, v) && h.reaches(v) {
				h.Explains, set = append(h.Explains, v), append(set, v)
			}
		}
	}
	var out []*Hypothesis
	for _, h := range top {
		if slices.Contains(set, h) {
			continue
		}
		out = append(out, h)
		for _, v := range h.Explains {
			if slices.Contains(set, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// owns reports whether the would-be victim already explains its cause: the
// first claim, of the higher rank, stands.
func owns(victim, cause *Hypothesis, ranked, owner []*Hypothesis) bool {
	i := slices.Index(ranked, cause)
	return owner[i] == victim || slices.Contains(victim.Explains, cause)
}

// explains: the rule says that it can, and it reaches that far.
func (h *Hypothesis) explains(victim *Hypothesis) bool {
	return slices.Contains(h.Rule.Explains, victim.Rule.ID) && h.reaches(victim)
}

// reaches: both slow the same operation, or are about the same thing, or the
// cause holds up one of the service that the victim belongs to, or uses up what
// the victim says is gone; and the cause is of the victim's order of magnitude
// and did not begin after it.
func (h *Hypothesis) reaches(victim *Hypothesis) bool {
	if h.gain() < 0.3*victim.gain() || analyzers.Late(h.Finding.Onset, victim.Finding.Onset) > 0 {
		return false
	}
	if h.holdsUp(victim) || h.concerns(victim) || h.feeds(victim) {
		return true
	}
	if len(h.Finding.Held) > 0 && len(victim.Finding.Held) > 0 { // both were seen at a place, so these decide
		return victim.holdsUp(h) || h.Subject.Resource == victim.Subject.Resource
	}
	return slices.ContainsFunc(victim.Victims, func(v evidence.Entity) bool { return slices.Contains(h.Victims, v) })
}

// holdsUp: the other was seen in this one's service, or in one that waits for it.
func (h *Hypothesis) holdsUp(o *Hypothesis) bool {
	service := o.Subject.Service
	return service != "" && (h.Subject.Service == service ||
		slices.ContainsFunc(h.Finding.Held, func(e evidence.Entity) bool { return e.Service == service }))
}

// concerns: both are about one thing at one place, such as a table of a
// database, whoever was seen to suffer.
func (h *Hypothesis) concerns(o *Hypothesis) bool {
	a, b := h.Subject, o.Subject
	return a.Instance != "" && a.Instance == b.Instance && a.Resource != "" && a.Resource == b.Resource
}

// feeds: the other is that something ran out, and most of it goes to the
// service of this one, by which it can be explained.
func (h *Hypothesis) feeds(o *Hypothesis) bool {
	return h.Subject.Service != "" && h.Subject.Service == o.Finding.Facts["consumer"] && slices.Contains(h.Rule.Explains, o.Rule.ID)
}

// same: one rule, one service, one operation: one cause in several places.
func (h *Hypothesis) same(o *Hypothesis) bool {
	return h.Rule == o.Rule && h.Subject.Service == o.Subject.Service && h.Subject.Operation == o.Subject.Operation && h.Subject.Service != ""
}
