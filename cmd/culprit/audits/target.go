// Package audits does the work of a service: it decides when a target is
// audited, by a schedule or by an alert, sees to it that every audit is done
// once and leaves a record, and says how it fares. What an audit is, and where
// the records go, it is told.
package audits

import (
	"context"
	"regexp"
	"time"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

// Target is one system that is audited.
type Target struct {
	Name  string
	Plan  *Plan   // nil: no schedule
	Route []Route // alerts that start an audit; none: no alert does
	// Window is how far back an audit by schedule looks.
	Window time.Duration
	// Late is how long after its time a scheduled audit is still begun.
	Late time.Duration
	// Audit reads the sources over the run's window and reports. With an error
	// there may be a report, which says what could not be read.
	Audit func(context.Context, archive.Run) (*report.Report, error)
}

// Route says which alerts concern a target: all labels of Match are equal, and
// all of MatchRE match as a whole.
type Route struct {
	Match   map[string]string
	MatchRE map[string]*regexp.Regexp
	// Before is how far before the start of the alert the window begins.
	Before time.Duration
}

// takes holds for an alert with these labels. A label that is missing is empty.
func (r Route) takes(labels map[string]string) bool {
	for name, want := range r.Match {
		if labels[name] != want {
			return false
		}
	}
	for name, want := range r.MatchRE {
		if !want.MatchString(labels[name]) {
			return false
		}
	}
	return true
}
