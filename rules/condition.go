package rules

import (
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// evaluate holds a condition against the findings about a hypothesis's
// subject and keeps the strongest.
func evaluate(c Condition, h *Hypothesis, r *analyzers.Result, forIt bool) Entry {
	e := Entry{Condition: c, For: forIt}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Kind != c.Finding || !joined(c.On, h, f) {
			continue
		}
		if s := c.ramp(f.Value); e.Finding == nil || s > e.Strength {
			e.Finding, e.Strength = f, s
		}
	}
	if e.Finding == nil {
		e.Text = unseen(c.Finding, r)
		return e
	}
	e.Text = e.Finding.Text
	e.Verdict = Absent
	if e.Strength > 0 {
		e.Verdict = Present
	}
	return e
}

// ramp maps a value to 0 at From and 1 at To, linear between; From above To
// means that less is more.
func (c *Condition) ramp(v float64) float64 {
	return max(0, min(1, (v-c.From)/(c.To-c.From)))
}

// joined reports whether a finding speaks about a hypothesis's subject.
func joined(on string, h *Hypothesis, f *analyzers.Finding) bool {
	a, b := h.Subject, f.Entity
	switch on {
	case "any":
		return true
	case "service":
		return a.Service != "" && a.Service == b.Service
	case "operation":
		return agree(a.Service, b.Service) && a.Operation != "" && a.Operation == b.Operation
	case "resource":
		return a.Resource != "" && a.Resource == b.Resource
	}
	return agree(a.Service, b.Service) && agree(a.Instance, b.Instance) && agree(a.Operation, b.Operation) && agree(a.Resource, b.Resource)
}

// agree: unset means any.
func agree(a, b string) bool { return a == "" || b == "" || a == b }

// unseen says why nothing is known about a finding.
func unseen(k analyzers.Kind, r *analyzers.Result) string {
	for _, s := range r.Skips {
		if slices.Contains(s.Finds, k) {
			return fmt.Sprintf("%s: not visible, %s", k, lacks(s))
		}
	}
	return fmt.Sprintf("%s: nothing measured for this subject", k)
}

func lacks(s analyzers.Skip) string {
	if s.Err != "" {
		return s.Err
	}
	return fmt.Sprintf("needs %v", kindNames(s.Missing))
}

func kindNames(kinds []evidence.Kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}

// rejection of a needed condition, with the number.
func (e *Entry) rejection() string {
	if e.Verdict == Unknown {
		return e.Text
	}
	return fmt.Sprintf("%s (needs more than %g)", e.Text, e.Condition.From)
}
