package analyzers

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// CallEdge is the calls of one party to another, as the traces tell them.
type CallEdge struct {
	From, To Party
	Calls    float64 // estimated for all requests, not the sampled ones alone
	Seconds  float64 // mean length of a call
	Held     float64 // s that the calls held up requests, mean over all requests
	Failed   float64 // share of the calls, 0..1
}

// Party is an end of a call. Its kind is service, database, cache, queue or
// external (answers, and left no span).
type Party struct{ Name, Kind string }

func (p Party) compare(o Party) int {
	return cmp.Or(cmp.Compare(p.Kind, o.Kind), cmp.Compare(p.Name, o.Name))
}

// CallGraph sums up who calls whom, in the order of names, and lists the
// services at which requests enter.
func CallGraph(traces []*Trace) (edges []CallEdge, entries []Party) {
	sums := map[[2]Party]*CallEdge{}
	requests := 0.0
	for _, t := range traces {
		requests += t.Weight
		if p := (Party{t.Spans[t.Root].Service, "service"}); !slices.Contains(entries, p) {
			entries = append(entries, p)
		}
		for _, c := range t.called {
			t.addEdge(sums, c)
		}
		t.addDeliveries(sums)
	}
	for _, e := range sums {
		e.Seconds, e.Failed, e.Held = e.Seconds/e.Calls, e.Failed/e.Calls, e.Held/requests
		edges = append(edges, *e)
	}
	slices.SortFunc(edges, func(a, b CallEdge) int { return cmp.Or(a.From.compare(b.From), a.To.compare(b.To)) })
	slices.SortFunc(entries, Party.compare)
	return edges, entries
}

func (t *Trace) addEdge(sums map[[2]Party]*CallEdge, c call) {
	s := &t.Spans[c.span]
	e := edge(sums, Party{s.Service, "service"}, t.partyOf(c))
	e.Calls += t.Weight
	e.Seconds += t.Weight * seconds(s.Duration())
	e.Held += t.Weight * seconds(t.held[c.span])
	if failed(s) {
		e.Failed += t.Weight
	}
}

// addDeliveries joins queues with those who take messages from them.
func (t *Trace) addDeliveries(sums map[[2]Party]*CallEdge) {
	for i := range t.Spans {
		s := &t.Spans[i]
		if dest := s.Attr(evidence.AttrMsgDest); s.Kind == evidence.KindConsumer && dest != "" {
			e := edge(sums, Party{dest, "queue"}, Party{s.Service, "service"})
			e.Calls += t.Weight
			e.Seconds += t.Weight * seconds(s.Duration())
		}
	}
}

func edge(sums map[[2]Party]*CallEdge, from, to Party) *CallEdge {
	e := sums[[2]Party{from, to}]
	if e == nil {
		e = &CallEdge{From: from, To: to}
		sums[[2]Party{from, to}] = e
	}
	return e
}

// partyOf names who was called. A database and a cache are known by system and
// name, not by statement.
func (t *Trace) partyOf(c call) Party {
	s := &t.Spans[c.span]
	switch {
	case s.Attr(evidence.AttrDBSystem) != "":
		kind, name := "database", c.to.system
		if isCacheSystem(c.to.system) {
			kind = "cache"
		} else if db := s.Attr(evidence.AttrDBNamespace); db != "" {
			name += " " + db
		}
		return Party{name, kind}
	case c.to.verb == "publish":
		return Party{c.to.target, "queue"}
	case t.answer(c.span) >= 0:
		return Party{c.to.peer, "service"}
	}
	return Party{cmp.Or(c.to.peer, c.to.String()), "external"}
}
