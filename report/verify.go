package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// What became of a cause.
const (
	CauseGone    = "gone"
	CauseRemains = "remains"
	CauseUntold  = "untold" // the later run could not have shown it
)

// What became of the promise that removing it buys something.
const (
	PromiseKept   = "kept"
	PromiseBroken = "less than promised"
	PromiseUntold = "untold"
)

// leastLoad is the share of the earlier run's rate on an operation from which
// the later run can tell how it does: saturation, the usual mechanism, has no
// meaning at half the load.
const leastLoad = 0.8

// Verification says what became of a report's causes in a later run. Its JSON is
// a contract for programs, schema_version 1.
type Verification struct {
	SchemaVersion int             `json:"schema_version"`
	Before        DiffRun         `json:"before"`
	After         DiffRun         `json:"after"`
	Causes        []VerifiedCause `json:"causes"`
}

// VerifiedCause is one of them; times in s, 0 where not measured.
type VerifiedCause struct {
	Rule        string          `json:"rule" clean:"name"`
	Title       string          `json:"title"`
	Subject     evidence.Entity `json:"subject" clean:"name"`
	Fingerprint string          `json:"fingerprint" clean:"name"`
	Verdict     string          `json:"verdict"` // gone, remains, untold
	Reason      string          `json:"reason,omitempty"`
	Promised    *Impact         `json:"promised"` // null where nothing was
	Promise     string          `json:"promise"`  // kept, less than promised, untold
	P95Before   float64         `json:"p95_before_s"`
	P95After    float64         `json:"p95_after_s"`
	RPSBefore   float64         `json:"rps_before"`
	RPSAfter    float64         `json:"rps_after"`
}

// Verify looks for the causes of a report in a later run: those that match, by
// rule or fingerprint, or all of them where match is "". Operations are the
// latencies of the two as the analyzers compared them.
func Verify(before, after *Report, names [2]string, match string, operations []analyzers.Change) *Verification {
	v := &Verification{SchemaVersion: 1, Before: diffRun(before, names[0]), After: diffRun(after, names[1]), Causes: []VerifiedCause{}}
	for i := range before.Causes {
		c := &before.Causes[i]
		if match != "" && c.Rule != match && c.Fingerprint != match {
			continue
		}
		x := VerifiedCause{Rule: c.Rule, Title: c.Title, Subject: c.Subject, Fingerprint: c.Fingerprint, Promised: c.Impact}
		x.measure(before, after, operations)
		x.Verdict, x.Reason = becameOf(c, &x, after)
		x.Promise = x.promise()
		v.Causes = append(v.Causes, x)
	}
	out := cleaned(*v)
	return &out
}

// measure finds how the operation did that the cause slowed: as compared, else
// as reported.
func (x *VerifiedCause) measure(before, after *Report, operations []analyzers.Change) {
	if x.Promised == nil {
		return
	}
	if s := before.symptomOf(x.Promised); s != nil {
		x.P95Before, x.RPSBefore = s.P95, s.RPS
	}
	if s := after.symptomOf(x.Promised); s != nil {
		x.P95After, x.RPSAfter = s.P95, s.RPS
	}
	for _, o := range operations {
		if o.Entity.Service == x.Promised.Service && o.Entity.Operation == x.Promised.Operation && o.Low > 0 {
			x.P95Before, x.P95After = o.Base.P95, o.Head.P95
		}
	}
}

func (r *Report) symptomOf(i *Impact) *Symptom {
	for k := range r.Symptoms {
		if s := &r.Symptoms[k]; (i.Service == "" || s.Service == i.Service) && s.Operation == i.Operation {
			return s
		}
	}
	return nil
}

// becameOf is gone only where the later run would have shown the cause.
func becameOf(c *Cause, x *VerifiedCause, after *Report) (verdict, reason string) {
	if find(after.Causes, c) != nil {
		return CauseRemains, ""
	}
	for _, h := range after.Causes {
		if slices.ContainsFunc(h.Explained, func(e Explained) bool { return e.Rule == c.Rule && e.Subject == c.Subject }) {
			return CauseRemains, "now explained by " + h.Rule
		}
	}
	switch s := after.Verdict.Status; {
	case s != rules.CausesFound && s != rules.NoProblem:
		return CauseUntold, fmt.Sprintf("the later run is %s", s)
	case x.Promised != nil && x.RPSAfter == 0:
		return CauseUntold, "the later run had no load on " + strings.TrimSpace(x.Promised.Service+" "+x.Promised.Operation)
	case x.Promised != nil && x.RPSAfter < leastLoad*x.RPSBefore:
		return CauseUntold, fmt.Sprintf("the later run had %.3g requests/s on %s where it had %.3g before", x.RPSAfter, x.Promised.Operation, x.RPSBefore)
	}
	if missing := unseen(c, after); missing != "" {
		return CauseUntold, "the later run could not weigh it: " + missing
	}
	return CauseGone, ""
}

// unseen names an analyzer that the cause stood on and that had nothing to work
// with in the later run, "" where one of them had.
func unseen(c *Cause, after *Report) string {
	missing := ""
	for _, a := range analyzers.All() {
		stoodOn := slices.ContainsFunc(c.Evidence, func(e Evidence) bool {
			return e.For && e.Verdict == rules.Present.String() && slices.Contains(a.Finds, analyzers.Kind(e.Finding))
		})
		if !stoodOn {
			continue
		}
		i := slices.IndexFunc(after.Unweighed, func(u Unweighed) bool { return u.Analyzer == a.Name })
		if i < 0 {
			return ""
		}
		var kinds []string
		for _, k := range after.Unweighed[i].Missing {
			kinds = append(kinds, string(k))
		}
		missing = strings.TrimSpace(a.Name + " lacked " + strings.Join(kinds, ", "))
	}
	return missing
}

// promise compares what was saved with the least that was promised.
func (x *VerifiedCause) promise() string {
	switch saved := x.P95Before - x.P95After; {
	case x.Promised == nil || x.P95Before == 0 || x.P95After == 0 || x.Verdict != CauseGone || x.Promised.Percentile != "p95", x.Promised.During != nil:
		return PromiseUntold
	case saved < x.Promised.Low && !x.Promised.AtMost, saved <= 0:
		return PromiseBroken
	}
	return PromiseKept
}

// Remaining names the causes that are still there, "" for none.
func (v *Verification) Remaining() string { return v.named(CauseRemains) }

// Untold names the causes of which the later run could tell nothing.
func (v *Verification) Untold() string { return v.named(CauseUntold) }

func (v *Verification) named(verdict string) string {
	var out []string
	for _, c := range v.Causes {
		if c.Verdict == verdict {
			text := fmt.Sprintf("%s at %s %s", c.Rule, entityText(c.Subject), verdict)
			if c.Reason != "" {
				text += ": " + c.Reason
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

// WriteJSON is the form for programs.
func (v *Verification) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	return nil
}

// WriteMarkdown is the size of a comment.
func (v *Verification) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n- before: %s, %s\n- after: %s, %s\n", mdText(v.title()), mdCode(v.Before.Name), mdText(v.Before.Status), mdCode(v.After.Name), mdText(v.After.Status))
	if len(v.Causes) > 0 {
		b.WriteString("\n| cause | where | now | promised | p95 before | p95 after | promise |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n")
	}
	for _, c := range v.Causes {
		now := c.Verdict
		if c.Reason != "" {
			now += ": " + c.Reason
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", mdCell(c.Rule), mdCell(entityText(c.Subject)), mdText(now), mdText(cost(c.Promised)),
			mdText(measuredText(c.P95Before)), mdText(measuredText(c.P95After)), mdText(c.Promise))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func measuredText(s float64) string {
	if s == 0 {
		return "–"
	}
	return seconds(s)
}

func (v *Verification) title() string {
	counts := map[string]int{}
	for _, c := range v.Causes {
		counts[c.Verdict]++
	}
	var parts []string
	for _, verdict := range []string{CauseRemains, CauseUntold, CauseGone} {
		if n := counts[verdict]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d of %d %s", n, len(v.Causes), verdict))
		}
	}
	if len(parts) == 0 {
		return "The earlier run had no cause"
	}
	return "Causes: " + strings.Join(parts, ", ")
}
