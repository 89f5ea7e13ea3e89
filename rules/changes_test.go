package rules

import (
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// even is the run of a system under an even load, with what was done to it.
func even(w work, traced bool, events []evidence.Event, list ...evidence.Series) *evidence.Bundle {
	b := system(w, list...)
	for i := range b.Histograms {
		for _, rates := range b.Histograms[i].Rates {
			for k, r := range rates {
				rates[k] = min(r, 1) * 30
			}
		}
	}
	if !traced {
		b.Spans = nil
	}
	b.Events = events
	b.Sort()
	return b
}

// slowFrom one second to another, in code of api.
func slowFrom(from, to int) work {
	return work{func(s, _ int) float64 {
		if s >= from && s < to {
			return 160
		}
		return 10
	}, inCode}
}

func event(at, end int, kind, service string) evidence.Event {
	return evidence.Event{At: int64(at) * 1000, End: int64(end) * 1000, Kind: kind, Text: "v2 goes out", Entity: evidence.Entity{Service: service}}
}

// experiment is at work from one second to another, as an exporter shows that
// drops what is over.
func experiment(from, to int) evidence.Series {
	s := evidence.Series{Kind: evidence.ChaosActive, Entity: evidence.Entity{Resource: "delay"}}
	for t := from; t < to; t++ {
		s.Times, s.Values = append(s.Times, int64(t)*1000), append(s.Values, 1)
	}
	return s
}

// A change that requests follow, and that they pass through, is a cause.
func TestAChangeThatRequestsFollow(t *testing.T) {
	for name, c := range map[string]struct {
		work   work
		events []evidence.Event
		series []evidence.Series
		rule   string
	}{
		"a deployment":                              {slowFrom(35, runEnd), []evidence.Event{event(34, 0, "deployment", "api")}, nil, "recent-change"},
		"a change of nobody knows what":             {slowFrom(35, runEnd), []evidence.Event{event(35, 0, "config", "")}, nil, "recent-change"},
		"a setting, taken back":                     {slowFrom(25, 41), []evidence.Event{event(25, 40, "config", "api")}, nil, "recent-change"},
		"an experiment that was written down":       {slowFrom(35, runEnd), []evidence.Event{event(35, 0, "chaos", "api")}, nil, "chaos-experiment"},
		"an experiment that metrics show":           {slowFrom(25, 40), nil, []evidence.Series{experiment(24, 40)}, "chaos-experiment"},
		"an experiment that lasts to the end":       {slowFrom(41, runEnd), nil, []evidence.Series{experiment(40, runEnd)}, "chaos-experiment"},
		"a deployment that nobody did by hand":      {slowFrom(31, runEnd), nil, []evidence.Series{series(evidence.Generation, evidence.Entity{Service: "api"}, under2(3, 4, 30))}, "recent-change"},
		"another change, that has nothing to do it": {slowFrom(35, runEnd), []evidence.Event{event(35, 0, "deployment", "api"), event(12, 0, "deployment", "front")}, nil, "recent-change"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, traced := range []bool{true, false} {
				j := judged(t, even(c.work, traced, c.events, c.series...))
				if len(j.Causes) != 1 || j.Causes[0].Rule.ID != c.rule {
					t.Fatalf("traced %v: causes %q, rejected %+v", traced, causes(j), j.Rejected)
				}
				if i := j.Causes[0].Impact; i.Share() < 0.5 || i.Low > i.Saved() || i.High < i.Saved() {
					t.Errorf("traced %v: from %.3f s to %.3f s [%.3f, %.3f]", traced, i.Now, i.Then, i.Low, i.High)
				}
			}
		})
	}
}

// under2 is one value before a second and another from it on.
func under2(before, then float64, at int) course {
	return func(s int) float64 {
		if s < at {
			return before
		}
		return then
	}
}

// A change that lies near and is not what requests follow is no cause.
func TestAChangeThatRequestsDoNotFollow(t *testing.T) {
	late := slowFrom(35, runEnd)
	for name, c := range map[string]struct {
		work   work
		events []evidence.Event
		series []evidence.Series
	}{
		"in the healthy part":                   {late, []evidence.Event{event(15, 0, "deployment", "api")}, nil},
		"over before it began":                  {late, []evidence.Event{event(10, 25, "chaos", "api")}, nil},
		"before the window":                     {late, []evidence.Event{event(-30, 0, "deployment", "api")}, nil},
		"after it had become slow":              {slowFrom(20, runEnd), []evidence.Event{event(40, 0, "deployment", "api")}, nil},
		"it stays slow when it is over":         {slowFrom(20, runEnd), []evidence.Event{event(20, 32, "chaos", "api")}, nil},
		"too near to the end to tell":           {slowFrom(57, runEnd), []evidence.Event{event(57, 0, "deployment", "api")}, nil},
		"latency rises all the time":            {work{slowerAndSlower, inCode}, []evidence.Event{event(30, 0, "deployment", "api")}, nil},
		"on a service that nobody waits for":    {late, []evidence.Event{event(35, 0, "deployment", "mailer")}, nil},
		"an experiment in the healthy part":     {late, nil, []evidence.Series{experiment(8, 20)}},
		"it was at work all the time":           {late, nil, []evidence.Series{experiment(0, runEnd)}},
		"scaled at that moment, nothing else":   {late, nil, []evidence.Series{series(evidence.Generation, evidence.Entity{Service: "api"}, under2(3, 4, 35)), series(evidence.ReplicasDesired, evidence.Entity{Service: "api"}, under2(3, 2, 35))}},
		"a deployment, and nothing is slow":     {work{fast, inCode}, []evidence.Event{event(30, 0, "deployment", "api")}, nil},
		"an experiment, and nothing is slow":    {work{fast, inCode}, nil, []evidence.Series{experiment(20, 40)}},
		"it began long before the experiment":   {slowFrom(20, runEnd), nil, []evidence.Series{experiment(38, runEnd)}},
		"an alert, which follows":               {late, []evidence.Event{event(35, 0, "alert", "api")}, nil},
		"somebody saw it and wrote it down":     {late, []evidence.Event{event(35, 0, "annotation", "")}, nil},
		"nothing of it is known but that it is": {late, []evidence.Event{event(15, 0, "", "")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, traced := range []bool{true, false} {
				if j := judged(t, even(c.work, traced, c.events, c.series...)); named(j, "recent-change") || named(j, "chaos-experiment") {
					t.Errorf("traced %v: causes %q: %s", traced, causes(j), j.Causes[0].Finding.Text)
				}
			}
		})
	}
}

// What is slow is api: front, which was changed, is not what holds it up.
func TestAChangeOfAnotherService(t *testing.T) {
	if j := judged(t, even(slowFrom(35, runEnd), true, []evidence.Event{event(35, 0, "deployment", "front")})); named(j, "recent-change") {
		t.Errorf("causes %q: %s", causes(j), j.Causes[0].Finding.Text)
	}
}

// The load rose at the same moment: which of the two it was nobody can tell.
func TestAChangeUnderAnotherLoad(t *testing.T) {
	b := system(work{slowUnderLoad, inCode})
	b.Events = []evidence.Event{event(rampEnd, 0, "deployment", "api")}
	if j := judged(t, b); named(j, "recent-change") {
		t.Errorf("causes %q", causes(j))
	}
}

// What breaks under an experiment follows from it.
func TestWhatBreaksFollowsFromTheExperiment(t *testing.T) {
	node := evidence.Entity{Resource: "n1"}
	busy := func(from int) evidence.Series { return series(evidence.NodeCPUBusy, node, under2(0.3, 0.99, from)) }
	w := slowFrom(35, runEnd)
	w.where = inEverything
	j := judged(t, even(w, true, nil, experiment(35, runEnd), busy(35)))
	if len(j.Causes) != 1 || j.Causes[0].Rule.ID != "chaos-experiment" || len(j.Causes[0].Explains) != 1 || j.Causes[0].Explains[0].Rule.ID != "cpu-saturation" {
		t.Errorf("causes %q, rejected %+v", causes(j), j.Rejected)
	}
}

// A cause does not explain what was there long before it.
func TestACauseExplainsNothingEarlier(t *testing.T) {
	hypothesis := func(rule string, at int64, explains ...string) *Hypothesis {
		return &Hypothesis{Rule: &Rule{ID: rule, Explains: explains}, Subject: api, Impact: &analyzers.Impact{Now: 1, Then: 0.5},
			Score: 0.9, Finding: &analyzers.Finding{Onset: &analyzers.Onset{At: at, Tolerance: 1000}}}
	}
	for at, want := range map[int64]int{30_000: 1, 31_000: 1, 40_000: 2} {
		if top := nest([]*Hypothesis{hypothesis("a", at, "b"), hypothesis("b", 30_000)}); len(top) != want {
			t.Errorf("begun at %d ms: %d causes, want %d", at, len(top), want)
		}
	}
}
