// Package collectors brings evidence home: it defines what a collector is and
// runs several at once, bounded and partial. One dead source never fails a
// run; it leaves a gap that says what to do.
package collectors

import (
	"context"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Collector reads one source. It must honour the context, bound what it asks
// for and keeps, write nothing to what it observes and print no secret.
type Collector interface {
	// Name of the source: prometheus, traces, postgres, load.
	Name() string
	// Provides lists the kinds that Collect may bring.
	Provides() []evidence.Kind
	// Collect returns what it got for the window, gaps included, with exactly
	// one entry in Sources. The error is non-nil only if the source was of no
	// use at all; it is one line, names the source without secrets, and says
	// what was being done.
	Collect(context.Context, evidence.Window) (*evidence.Bundle, error)
}

// Beginner is a collector that starts before the load: it takes its first
// snapshot and samples until Collect is called.
type Beginner interface {
	Begin(context.Context) error
}

// Checker is a collector that can say what it would see, without a window:
// reachability, version, grants, dialect. Lines are for people.
type Checker interface {
	Check(context.Context) (Preflight, error)
}

// Preflight is the answer of a Checker.
type Preflight struct {
	Source evidence.Source
	Lines  []string       // what was found, one fact a line
	Gaps   []evidence.Gap // what cannot be seen and what would make it visible
}

// Reporter is told how a collection goes. Calls are serial per collector.
type Reporter func(Event)

// Event is one step of progress.
type Event struct {
	Source string
	Text   string // "queried 40 of 120", "1,200 spans"
	Done   int    // items so far, for a bar; 0 when unknown
	Total  int
	End    bool // the source is finished
	Err    error
}
