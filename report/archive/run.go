// Package archive keeps what a service has done: one record a run, and the
// report that it made. The record is written before the work begins, so that
// no run is lost without a trace, and its key makes the run one: whoever comes
// second with the same key is told so.
//
// There are two stores with one behaviour: a directory for one process, and
// PostgreSQL for several replicas.
package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
)

// Trigger is what asked for a run.
type Trigger string

const (
	Schedule Trigger = "schedule"
	Alert    Trigger = "alert"
)

// State of a run. Queued and running are open, the others final.
type State string

const (
	Queued      State = "queued"
	Running     State = "running"
	Done        State = "done"        // it has a report
	Failed      State = "failed"      // no source could be read, or an internal error; Reason says which
	Skipped     State = "skipped"     // the run before it had not ended
	Missed      State = "missed"      // nobody was there at its time
	Interrupted State = "interrupted" // begun MaxAttempts times and never ended
)

// Open holds for a run that is still to be done.
func (s State) Open() bool { return s == Queued || s == Running }

// MaxAttempts is how often a run is begun whose process goes away in the middle.
const MaxAttempts = 3

// summaryCauses bounds the causes that a record repeats of its report.
const summaryCauses = 10

// Run is the record of one run.
type Run struct {
	Key     string          `json:"key"` // what makes it one: target, trigger and slot
	ID      string          `json:"id"`  // the same, fit for a file name and an address
	Target  string          `json:"target"`
	Trigger Trigger         `json:"trigger"`
	Plan    string          `json:"plan,omitempty"`  // of a schedule: its expression and zone
	Group   string          `json:"group,omitempty"` // of an alert: a hash of its group
	Note    string          `json:"note,omitempty"`  // of an alert: its name; untrusted text
	Slot    time.Time       `json:"slot"`            // the time that it stands for
	Window  evidence.Window `json:"window"`
	State   State           `json:"state"`
	Reason  string          `json:"reason,omitempty"` // why it is in this state, one line
	Owner   string          `json:"owner,omitempty"`  // the process that has it, or had it
	Attempt int             `json:"attempt,omitempty"`
	Added   time.Time       `json:"added"`
	Began   time.Time       `json:"began,omitzero"`
	Ended   time.Time       `json:"ended,omitzero"`

	// What the report says, so that a list needs no report.
	Status   string  `json:"status,omitempty"`
	Headline string  `json:"headline,omitempty"`
	Causes   []Cause `json:"causes,omitempty"`
	Reported bool    `json:"reported,omitempty"` // there is a report
}

// Cause is one of a report, as far as a trend needs it.
type Cause struct {
	Fingerprint string          `json:"fingerprint"`
	Rule        string          `json:"rule"`
	Title       string          `json:"title"`
	Subject     evidence.Entity `json:"subject"`
	Score       float64         `json:"score"`
	Saved       float64         `json:"saved_s"` // s of the percentile below; 0 where it was not measured
	Low         float64         `json:"low_s"`
	High        float64         `json:"high_s"`
	Percentile  string          `json:"percentile,omitempty"`
}

// NewRun makes a record with its key and id. What distinguishes it from others
// of the same target and trigger is mark: the slot of a schedule, the group and
// start of an alert.
func NewRun(target string, trigger Trigger, mark string, slot time.Time, w evidence.Window) Run {
	slot = slot.UTC()
	key := fmt.Sprintf("%s/%s/%s", target, trigger, mark)
	sum := sha256.Sum256([]byte(key))
	return Run{Key: key, ID: slot.Format("20060102T150405Z") + "-" + hex.EncodeToString(sum[:8]),
		Target: target, Trigger: trigger, Slot: slot, Window: w, State: Queued}
}

// Concluded holds for a run whose report has a verdict that another can be
// compared with.
func (r Run) Concluded() bool {
	return r.Reported && (r.Status == "causes-found" || r.Status == "no-problem")
}

// Summarize copies into the record what lists and trends show of its report.
func (r *Run) Summarize(made *report.Report) {
	r.Reported, r.Status, r.Headline, r.Causes = true, string(made.Verdict.Status), made.Verdict.Headline, nil
	r.Window = made.Window
	for i := range made.Causes[:min(summaryCauses, len(made.Causes))] {
		c := &made.Causes[i]
		out := Cause{Fingerprint: c.Fingerprint, Rule: c.Rule, Title: c.Title, Subject: c.Subject, Score: c.Score}
		if m := c.Impact; m != nil {
			out.Saved, out.Low, out.High, out.Percentile = m.Saved, m.Low, m.High, m.Percentile
		}
		r.Causes = append(r.Causes, out)
	}
}
