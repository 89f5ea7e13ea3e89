package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// leastCauseChange is how far the gain of a cause must move, beyond intervals
// that no longer touch, to be called worse or better.
const leastCauseChange = 0.2

// Diff is what changed from one run to another. Its JSON is a contract for
// programs, schema_version 1.
type Diff struct {
	SchemaVersion int           `json:"schema_version"`
	Base          DiffRun       `json:"base"`
	Head          DiffRun       `json:"head"`
	Causes        []CauseChange `json:"causes"`
	Operations    []Change      `json:"operations"` // those that changed beyond the noise, came, went, or could not be compared
	Unchanged     int           `json:"operations_unchanged"`
	Notes         []string      `json:"notes,omitempty"`
}

// DiffRun is one of the two.
type DiffRun struct {
	Name     string          `json:"name" clean:"block"` // the file
	Window   evidence.Window `json:"window"`
	Status   string          `json:"status" clean:"name"`
	Headline string          `json:"headline"`
}

// CauseChange is one cause by its fingerprint.
type CauseChange struct {
	Change      string          `json:"change"` // new, fixed, worse, better, same, unknown
	Rule        string          `json:"rule" clean:"name"`
	Title       string          `json:"title"`
	Subject     evidence.Entity `json:"subject" clean:"name"`
	Fingerprint string          `json:"fingerprint" clean:"name"`
	Base        *Impact         `json:"base"` // null where the run did not have it, or could not measure it
	Head        *Impact         `json:"head"`
	Reason      string          `json:"reason,omitempty"`
}

// Change is how an operation's p95 differs.
type Change struct {
	Service   string             `json:"service" clean:"name"`
	Operation string             `json:"operation" clean:"name"`
	Change    string             `json:"change" clean:"name"` // worse, better, new, gone, unknown
	Base      *analyzers.Figures `json:"base"`
	Head      *analyzers.Figures `json:"head"`
	Ratio     float64            `json:"ratio"`
	Low       float64            `json:"ratio_low"`
	High      float64            `json:"ratio_high"`
	P         float64            `json:"p_value"`
	Reason    string             `json:"reason,omitempty"`
}

// Compare sets two reports beside each other, with the latencies as the
// analyzers compared them, which had so many repeats of the base.
func Compare(base, head *Report, names [2]string, operations []analyzers.Change, repeats int) *Diff {
	d := &Diff{SchemaVersion: 1, Base: diffRun(base, names[0]), Head: diffRun(head, names[1]), Causes: []CauseChange{}, Operations: []Change{}}
	for i := range head.Causes {
		d.Causes = append(d.Causes, changeOf(find(base.Causes, &head.Causes[i]), &head.Causes[i]))
	}
	for i := range base.Causes {
		if c := &base.Causes[i]; find(head.Causes, c) == nil {
			d.Causes = append(d.Causes, goneCause(c, head))
		}
	}
	slices.SortStableFunc(d.Causes, func(x, y CauseChange) int { return cmp.Compare(urgency(x.Change), urgency(y.Change)) })
	for _, o := range operations {
		if o.Verdict == analyzers.Same {
			d.Unchanged++
			continue
		}
		d.Operations = append(d.Operations, Change{Service: o.Entity.Service, Operation: o.Entity.Operation, Change: string(o.Verdict),
			Base: o.Base, Head: o.Head, Ratio: o.Ratio, Low: o.Low, High: o.High, P: o.P, Reason: o.Reason})
	}
	slices.SortStableFunc(d.Operations, func(x, y Change) int { return cmp.Compare(urgency(x.Change), urgency(y.Change)) })
	if base.SchemaVersion == head.SchemaVersion && base.Generator.Version != head.Generator.Version {
		d.Notes = append(d.Notes, fmt.Sprintf("judged by two versions of culprit, %s and %s: a cause may differ for that alone", base.Generator.Version, head.Generator.Version))
	}
	if note := floorNote(operations); repeats == 0 && note != "" {
		d.Notes = append(d.Notes, note)
	}
	out := cleaned(*d)
	return &out
}

// floorNote says how large a change must be where nothing tells how runs
// differ; "" where no operation was tested.
func floorNote(operations []analyzers.Change) string {
	low, high := math.Inf(1), 0.0
	for _, o := range operations {
		if o.Low > 0 {
			low, high = min(low, o.Floor), max(high, o.Floor)
		}
	}
	if high == 0 {
		return ""
	}
	return fmt.Sprintf("One run of each does not tell how far runs of this load differ by themselves: a change below %.0f %% (for some operations %.0f %%) would not be told. Further runs of the base, given with --repeat, lower that.", 100*low, 100*high)
}

func diffRun(r *Report, name string) DiffRun {
	return DiffRun{Name: name, Window: r.Window, Status: string(r.Verdict.Status), Headline: r.Verdict.Headline}
}

// urgency orders changes: what got worse first.
func urgency(change string) int {
	return slices.Index([]string{"worse", "new", "unknown", "better", "fixed", "gone", "same"}, change)
}

func find(causes []Cause, c *Cause) *Cause {
	for i := range causes {
		if causes[i].Fingerprint == c.Fingerprint {
			return &causes[i]
		}
	}
	return nil
}

func changeOf(base, head *Cause) CauseChange {
	out := CauseChange{Change: "new", Rule: head.Rule, Title: head.Title, Subject: head.Subject, Fingerprint: head.Fingerprint, Head: head.Impact}
	if base == nil {
		return out
	}
	out.Change, out.Base = "same", base.Impact
	b, h := base.Impact, head.Impact
	switch {
	case b == nil || h == nil:
		out.Change, out.Reason = "unknown", "one run could not measure what it costs"
	case h.Low > b.High && h.Saved > b.Saved*(1+leastCauseChange):
		out.Change = "worse"
	case h.High < b.Low && b.Saved > h.Saved*(1+leastCauseChange):
		out.Change = "better"
	}
	return out
}

// goneCause is fixed where the later run could have seen it: it had a verdict,
// and load on the operation that the cause slowed.
func goneCause(c *Cause, head *Report) CauseChange {
	out := CauseChange{Change: "fixed", Rule: c.Rule, Title: c.Title, Subject: c.Subject, Fingerprint: c.Fingerprint, Base: c.Impact}
	if head.Verdict.Status != rules.CausesFound && head.Verdict.Status != rules.NoProblem {
		out.Change, out.Reason = "unknown", fmt.Sprintf("the later run is %s", head.Verdict.Status)
	} else if i := c.Impact; i != nil && !slices.ContainsFunc(head.Symptoms, func(s Symptom) bool {
		return (i.Service == "" || s.Service == i.Service) && s.Operation == i.Operation
	}) {
		out.Change, out.Reason = "unknown", "the later run had no load on "+strings.TrimSpace(i.Service+" "+i.Operation)
	}
	for _, h := range head.Causes {
		for _, e := range h.Explained {
			if e.Rule == c.Rule && e.Subject == c.Subject {
				out.Change, out.Reason = "same", "now explained by "+h.Rule
			}
		}
	}
	return out
}

// Regressed says what is new or worse, in a few words; "" for nothing.
func (d *Diff) Regressed() string {
	var out []string
	for _, c := range d.Causes {
		if c.Change == "new" || c.Change == "worse" {
			out = append(out, fmt.Sprintf("%s cause: %s at %s", c.Change, c.Rule, entityText(c.Subject)))
		}
	}
	for _, o := range d.Operations {
		if o.Change == "worse" {
			out = append(out, fmt.Sprintf("slower: %s %s", o.Service, o.Operation))
		}
	}
	return strings.Join(out, "; ")
}

// Unsettled says what could not be compared, in a few words; "" for nothing.
func (d *Diff) Unsettled() string {
	var out []string
	for _, r := range []DiffRun{d.Base, d.Head} {
		if r.Status != string(rules.CausesFound) && r.Status != string(rules.NoProblem) {
			out = append(out, fmt.Sprintf("%s is %s", r.Name, r.Status))
		}
	}
	for _, c := range d.Causes {
		if c.Change == "unknown" {
			out = append(out, fmt.Sprintf("cause %s at %s: %s", c.Rule, entityText(c.Subject), c.Reason))
		}
	}
	for _, o := range d.Operations {
		if o.Change == "unknown" {
			out = append(out, fmt.Sprintf("%s %s: %s", o.Service, o.Operation, o.Reason))
		}
	}
	return strings.Join(out, "; ")
}

// WriteJSON is the form for programs.
func (d *Diff) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(d); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	return nil
}

// WriteMarkdown is the size of a comment on a pull request.
func (d *Diff) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", mdText(d.title()))
	for _, r := range []struct {
		role string
		run  DiffRun
	}{{"base", d.Base}, {"head", d.Head}} {
		fmt.Fprintf(&b, "- %s: %s, %s, %s UTC\n", r.role, mdCode(r.run.Name), mdText(r.run.Status), r.run.Window.Start.UTC().Format("2006-01-02 15:04:05"))
	}
	d.causesTable(&b)
	d.operationsTable(&b)
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "\n%s\n", mdText(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Diff) title() string {
	counts := map[string]int{}
	for _, c := range d.Causes {
		counts[c.Change]++
	}
	for _, o := range d.Operations {
		counts["operation "+o.Change]++
	}
	var parts []string
	for _, p := range []struct{ key, one, many string }{
		{"new", "new cause", "new causes"}, {"worse", "cause worse", "causes worse"}, {"fixed", "cause fixed", "causes fixed"}, {"better", "cause better", "causes better"},
		{"operation worse", "operation slower", "operations slower"}, {"operation better", "operation faster", "operations faster"},
	} {
		switch n := counts[p.key]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+p.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, p.many))
		}
	}
	if len(parts) == 0 {
		return "No change beyond the noise"
	}
	return strings.Join(parts, ", ")
}

func (d *Diff) causesTable(b *strings.Builder) {
	if len(d.Causes) == 0 {
		return
	}
	b.WriteString("\n| cause | where | change | costs before | costs now |\n| --- | --- | --- | ---: | ---: |\n")
	for _, c := range d.Causes {
		change := c.Change
		if c.Reason != "" {
			change += ": " + c.Reason
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", mdCell(c.Rule), mdCell(entityText(c.Subject)), mdText(change), mdText(cost(c.Base)), mdText(cost(c.Head)))
	}
}

func cost(i *Impact) string {
	if i == nil {
		return "–"
	}
	return savedText(i) + " of " + i.Percentile
}

func (d *Diff) operationsTable(b *strings.Builder) {
	if len(d.Operations) > 0 {
		b.WriteString("\n| operation | change | p95 before | p95 now | by |\n| --- | --- | ---: | ---: | ---: |\n")
	}
	for _, o := range d.Operations {
		change := o.Change
		if o.Reason != "" {
			change += ": " + o.Reason
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", mdCell(o.Service+" "+o.Operation), mdText(change), mdText(tailText(o.Base)), mdText(tailText(o.Head)), o.byText())
	}
	if d.Unchanged > 0 {
		fmt.Fprintf(b, "\n%d operation%s without a change of p95 beyond the noise.\n", d.Unchanged, pluralS(d.Unchanged))
	}
}

func pluralS(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func tailText(f *analyzers.Figures) string {
	if f == nil {
		return "–"
	}
	return seconds(f.P95)
}

// byText is the change of the p95 with its 95 % interval: +20 % (+12 to +28 %).
func (o *Change) byText() string {
	switch {
	case o.Change != "worse" && o.Change != "better":
		return "–"
	case o.Low == 0:
		return fmt.Sprintf("%+.0f %%", 100*(o.Ratio-1))
	}
	return fmt.Sprintf("%+.0f %% (%+.0f to %+.0f %%)", 100*(o.Ratio-1), 100*(o.Low-1), 100*(o.High-1))
}

// Measured gives back the figures of a report's operations, to be compared
// without the evidence that they came from. A report does not say how many
// requests there were, but the rate.
func (r *Report) Measured() []analyzers.Symptom {
	var out []analyzers.Symptom
	for _, s := range r.Symptoms {
		out = append(out, analyzers.Symptom{Entity: evidence.Entity{Service: s.Service, Operation: s.Operation}, Source: s.Source,
			RPS: s.RPS, Requests: s.RPS * r.Window.Duration().Seconds(), P95: s.P95, P95Low: s.P95Low, P95High: s.P95High})
	}
	return out
}
