package analyzers

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// restartStep in s is how far a process's start time must move to be
	// another process: exporters that work it out from uptimes are off by one.
	restartStep = 2
	// maxEvents bounds what is drawn; a crash loop is told by its first ones.
	maxEvents = 100
)

// Kinds of events that are derived.
const (
	eventStart   = "start"
	eventRestart = "restart"
)

// eventsOf are the events that the bundle was given, and the starts and
// restarts in the window as start times of processes and of databases show
// them, in order of time.
func eventsOf(b *evidence.Bundle) []evidence.Event {
	out := slices.Clone(b.Events)
	for i := range b.Series {
		if s := &b.Series[i]; s.Kind == evidence.Restarts {
			out = append(out, restartsOf(s, b.Window)...)
		}
	}
	for _, p := range b.Postgres {
		if at := p.Server.StartedAt; b.Window.Contains(at) {
			out = append(out, evidence.Event{At: at, Kind: eventRestart, Text: "the database server started", Entity: evidence.Entity{Resource: p.Server.Name}})
		}
	}
	slices.SortStableFunc(out, compareEvents)
	out = slices.CompactFunc(out, func(x, y evidence.Event) bool { return compareEvents(x, y) == 0 })
	if len(out) > maxEvents {
		out = out[:maxEvents]
	}
	return out
}

func compareEvents(x, y evidence.Event) int {
	return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Kind, y.Kind), x.Entity.Compare(y.Entity), cmp.Compare(x.Text, y.Text))
}

// restartsOf reads a process's start time, in Unix s: where it steps the
// process was replaced, and where it begins inside the window it is new.
func restartsOf(s *evidence.Series, w evidence.Window) []evidence.Event {
	var out []evidence.Event
	for i, v := range s.Values {
		at := int64(v * 1000)
		if !w.Contains(at) || i > 0 && v-s.Values[i-1] < restartStep {
			continue
		}
		e := evidence.Event{At: at, Kind: eventRestart, Entity: s.Entity, Text: fmt.Sprintf("%s restarted", s.Entity)}
		if i == 0 {
			e.Kind, e.Text = eventStart, fmt.Sprintf("%s started", s.Entity)
		}
		out = append(out, e)
	}
	return out
}
