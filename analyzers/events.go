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
	// maxEvents bounds what is drawn, of changes and of restarts each; a crash
	// loop is told by its first ones.
	maxEvents = 100
)

// Kinds of events that are derived.
const (
	eventStart   = "start"
	eventRestart = "restart"
	eventScaling = "scaling"
	eventDeploy  = "deployment"
	eventChaos   = "chaos"
)

// eventsOf are the events that the bundle was given, and what its series show
// to have been done in the window: experiments, deployments, scaling, starts
// and restarts, in order of time.
func eventsOf(b *evidence.Bundle) []evidence.Event {
	restarts := databaseStarts(b)
	others := slices.DeleteFunc(slices.Clone(b.Events), func(e evidence.Event) bool { return !slices.Contains(observed, e.Kind) })
	for i := range b.Series {
		switch s := &b.Series[i]; s.Kind {
		case evidence.Restarts:
			restarts = append(restarts, restartsOf(s, b.Window)...)
		case evidence.ReplicasDesired:
			others = append(others, othersOf(s)...)
		}
	}
	return slices.SortedFunc(slices.Values(slices.Concat(firstEvents(changesOf(b)), firstEvents(slices.Concat(restarts, others)))), compareEvents)
}

// observed are kinds of events that say what was seen, or not what was done:
// they are drawn, and explain nothing.
var observed = []string{"alert", "annotation"}

// changesOf are the events that may be what made the run slow: those that were
// given, experiments and deployments. Restarts and scaling are measured by what
// they cost, and are often an answer to the load.
func changesOf(b *evidence.Bundle) []evidence.Event {
	out := slices.DeleteFunc(slices.Clone(b.Events), func(e evidence.Event) bool { return slices.Contains(observed, e.Kind) })
	for i := range b.Series {
		switch s := &b.Series[i]; s.Kind {
		case evidence.ChaosActive:
			out = append(out, chaosOf(b, s)...)
		case evidence.Generation:
			out = append(out, deploymentsOf(b, s)...)
		}
	}
	return out
}

// firstEvents are the first of some events, each once.
func firstEvents(all []evidence.Event) []evidence.Event {
	slices.SortStableFunc(all, compareEvents)
	all = slices.CompactFunc(all, func(x, y evidence.Event) bool { return compareEvents(x, y) == 0 })
	return all[:min(len(all), maxEvents)]
}

func compareEvents(x, y evidence.Event) int {
	return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Kind, y.Kind), x.Entity.Compare(y.Entity), cmp.Compare(x.Text, y.Text), cmp.Compare(x.End, y.End))
}

func databaseStarts(b *evidence.Bundle) []evidence.Event {
	var out []evidence.Event
	for _, p := range b.Postgres {
		if at := p.Server.StartedAt; b.Window.Contains(at) {
			out = append(out, evidence.Event{At: at, Kind: eventRestart, Text: "the database server started", Entity: evidence.Entity{Resource: p.Server.Name}})
		}
	}
	return out
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

// othersOf reads how many replicas there should be: each step is a decision.
func othersOf(s *evidence.Series) []evidence.Event {
	var out []evidence.Event
	for i := 1; i < len(s.Values); i++ {
		if was, now := s.Values[i-1], s.Values[i]; now != was {
			out = append(out, evidence.Event{At: s.Times[i], Kind: eventScaling, Entity: evidence.Entity{Service: s.Entity.Service}, Text: fmt.Sprintf("%s scaled from %.0f to %.0f replicas", s.Entity.Service, was, now)})
		}
	}
	return out
}

// deploymentsOf reads how often what a deployment should be was changed. Where
// the change was of how many replicas it should have it was scaled alone.
func deploymentsOf(b *evidence.Bundle, s *evidence.Series) []evidence.Event {
	var scaled []evidence.Event
	for i := range b.Series {
		if r := &b.Series[i]; r.Kind == evidence.ReplicasDesired && r.Entity.Service == s.Entity.Service {
			scaled = append(scaled, othersOf(r)...)
		}
	}
	var out []evidence.Event
	for i := 1; i < len(s.Values); i++ {
		from, to := s.Times[i-1], s.Times[i]
		near := func(e evidence.Event) bool { return e.At > from-(to-from) && e.At <= to+(to-from) }
		if s.Values[i] > s.Values[i-1] && !slices.ContainsFunc(scaled, near) {
			out = append(out, evidence.Event{At: to, Kind: eventDeploy, Text: s.Entity.Service + " was deployed anew", Entity: evidence.Entity{Service: s.Entity.Service}})
		}
	}
	return out
}
