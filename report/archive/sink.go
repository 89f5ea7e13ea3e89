package archive

import (
	"context"

	"github.com/culprit-rca/culprit/report"
)

// Announcement says that a report was made.
type Announcement struct {
	Run    Run
	Report *report.Report
	// Previous is the newest report of the same target before this one that
	// concluded something; nil for none. An outage of a source in between makes
	// nothing new.
	Previous    *report.Report
	PreviousRun *Run
	// URL of the report for people; "" where no external address is configured.
	URL string
}

// Sink is told of every report of a service, once, after it was kept. Calls
// are one at a time; each has half a minute. An error is logged and counted,
// and nothing is told again.
type Sink interface {
	Name() string
	Announce(context.Context, Announcement) error
}
