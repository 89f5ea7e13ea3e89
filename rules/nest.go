package rules

import (
	"slices"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// nest puts victims under the cause that explains them, and further subjects
// of one rule at one place under the strongest. The list comes ranked and
// stays so: of two that explain each other the lower is the victim.
func nest(ranked []*Hypothesis) []*Hypothesis {
	owner := make([]*Hypothesis, len(ranked))
	for i, victim := range ranked {
		for k, cause := range ranked {
			mutual := k > i && victim.explains(cause)
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
	return top
}

// owns reports whether the would-be victim already explains its cause: the
// first claim, of the higher rank, stands.
func owns(victim, cause *Hypothesis, ranked, owner []*Hypothesis) bool {
	i := slices.Index(ranked, cause)
	return owner[i] == victim || slices.Contains(victim.Explains, cause)
}

// explains: the rule says that it can, both slow the same operation, or the
// cause holds up one of the service that the victim belongs to, and the cause
// is of the victim's order of magnitude and did not begin after it.
func (h *Hypothesis) explains(victim *Hypothesis) bool {
	if !slices.Contains(h.Rule.Explains, victim.Rule.ID) || h.gain() < 0.3*victim.gain() || analyzers.Late(h.Finding.Onset, victim.Finding.Onset) > 0 {
		return false
	}
	if h.holdsUp(victim) {
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

// same: one rule, one service, one operation: one cause in several places.
func (h *Hypothesis) same(o *Hypothesis) bool {
	return h.Rule == o.Rule && h.Subject.Service == o.Subject.Service && h.Subject.Operation == o.Subject.Operation && h.Subject.Service != ""
}
