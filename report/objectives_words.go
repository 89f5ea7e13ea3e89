package report

import (
	"fmt"
	"strings"
)

// objectiveRow is an objective's result as people read it, in every format.
type objectiveRow struct {
	Name, Operation, Measured, Limit, Verdict, Reason string
	Missed                                            bool
}

// State is the gate in a few words.
func (o *Objectives) State() string {
	if o.Passed {
		return "passed"
	}
	return "failed: " + o.Reason
}

// Rows are the results in the order of the configuration.
func (o *Objectives) Rows() []objectiveRow {
	var out []objectiveRow
	for _, x := range o.Results {
		row := objectiveRow{
			Name: x.Name, Operation: strings.TrimSpace(x.Service + " " + x.Operation), Measured: "–", Limit: "–",
			Verdict: x.Verdict, Reason: x.Reason, Missed: x.Verdict == ObjectiveMissed,
		}
		if x.Key {
			row.Name += " (key)"
		}
		if x.Verdict == ObjectiveHeld || x.Verdict == ObjectiveMissed {
			row.Limit = x.figure(x.Limit)
		}
		if x.Verdict != ObjectiveUnknown {
			row.Measured = x.measure() + " " + x.figure(x.Value)
		}
		out = append(out, row)
	}
	return out
}

// Full is the verdict and why.
func (r objectiveRow) Full() string { return strings.TrimSuffix(r.Verdict+": "+r.Reason, ": ") }

// Class is the look of the verdict: that of a source which did as well.
func (r objectiveRow) Class() string {
	switch r.Verdict {
	case ObjectiveHeld, ObjectiveFirst:
		return "ok"
	case ObjectiveMissed:
		return "failed"
	}
	return "partial"
}

func (x *ObjectiveResult) measure() string {
	switch x.Measure {
	case MeasureErrors:
		return "errors"
	case MeasureRate:
		return "rate"
	}
	return x.Measure
}

// figure writes a measure for people.
func (x *ObjectiveResult) figure(v float64) string {
	switch x.Measure {
	case MeasureErrors:
		return fmt.Sprintf("%.2f %%", 100*v)
	case MeasureRate:
		return fmt.Sprintf("%.3g/s", v)
	}
	return seconds(v)
}

// objectives is the gate in a Markdown report; nothing without one.
func (m *markdown) objectives() {
	o := m.r.Objectives
	if o == nil {
		return
	}
	m.f("\n## Objectives: %s\n\n", mdText(o.State()))
	var rows [][]string
	for _, x := range o.Rows() {
		rows = append(rows, []string{mdText(x.Name), mdCell(x.Operation), mdText(x.Measured), mdText(x.Limit), mdText(x.Full())})
	}
	m.table([]string{"Objective", "Operation", ">Measured", ">Limit", "Verdict"}, rows)
}

// objectives is the gate for a terminal: what was not plainly held says why
// below the table.
func (t *text) objectives() {
	o := t.r.Objectives
	if o == nil {
		return
	}
	t.heading("Objectives: " + o.State())
	t.f("\n")
	const figures = 40 // columns that are not names
	name := min(max((t.term.Width-figures)/2, 12), 36)
	rows := [][]string{{"", "objective", "operation", "measured", "limit", "verdict"}}
	for _, x := range o.Rows() {
		mark := map[bool]string{true: "!", false: " "}[x.Missed]
		rows = append(rows, []string{mark, shorten(x.Name, name), shorten(x.Operation, name), x.Measured, x.Limit, x.Verdict})
	}
	t.table(rows, map[int]bool{3: true, 4: true})
	for _, x := range o.Rows() {
		if x.Reason != "" {
			t.f("%s", t.indented(x.Name+": "+x.Reason, "  "))
		}
	}
}
