package analyzers

import (
	"fmt"
	"strconv"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindChattyCalls is the number of short calls a request makes to one peer.
const FindChattyCalls Kind = "calls.chatty"

const (
	// fewestChatty calls to one peer, each short: the round trips cost more
	// than the answers.
	fewestChatty = 20
	shortCall    = 5 * int64(time.Millisecond)
	// tripSpread: a way there and back takes up to so many times its best on a
	// busy machine (two to four times, measured over loopback at 60 % CPU).
	// What a call takes beyond is work on its answer.
	tripSpread = 4
	// mostAlike: where more than this share ask the same thing it is N+1.
	mostAlike = 0.5
)

var chattyDetector = detector{
	rule: "chatty-calls", finds: FindChattyCalls, unit: "1", find: chattyCallsOf,
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s makes %.0f short calls a request to %s, most of them different ones.", g.place.Operation, g.median, g.brief())
	},
}

var chattyCalls = Analyzer{
	Name: "chatty-calls",
	Doc: "Finds requests that make twenty or more short, different calls in a row to one database, cache or service, so that the way there and back " +
		"costs more than the answers. The gain takes the round trip from every call but the first, with what the caller spends between them: " +
		"what the median call took, or four times the shortest where that is less.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindChattyCalls, FindChattyCalls + ".recurrence"},
	Run:   chattyDetector.analyze,
}

// peerOf a callee, whatever is asked of it.
func (t *Trace) peerOf(c call) callee {
	if c.to.peer != "" {
		return callee{peer: c.to.peer}
	}
	return callee{system: c.to.system, peer: t.Spans[c.span].Attr(evidence.AttrServerAddress)}
}

func chattyCallsOf(t *Trace) []pattern {
	if len(t.called) < fewestChatty {
		return nil
	}
	type key struct {
		server int32
		peer   callee
	}
	at := map[key]int{}
	var keys []key
	var groups [][]call
	for _, c := range t.called {
		k := key{t.server[c.span], t.peerOf(c)}
		g, ok := at[k]
		if !ok {
			g = len(groups)
			at[k] = g
			keys, groups = append(keys, k), append(groups, nil)
		}
		groups[g] = append(groups[g], c)
	}
	var found []pattern
	for g, calls := range groups {
		if len(calls) >= fewestChatty {
			found = t.appendChatty(found, keys[g].server, keys[g].peer, calls)
		}
	}
	return found
}

func (t *Trace) appendChatty(found []pattern, server int32, peer callee, calls []call) []pattern {
	spans, alike := make([]int32, len(calls)), map[*callee]int{}
	most := 0
	shortest := t.Spans[calls[0].span].Duration()
	for k, c := range calls {
		spans[k] = c.span
		alike[c.to]++
		most = max(most, alike[c.to])
		shortest = min(shortest, t.Spans[c.span].Duration())
	}
	typical := t.medianDuration(spans)
	if float64(most) > mostAlike*float64(len(calls)) || typical >= shortCall || t.serial(spans) < serialEnough || !t.matters(server, spans) {
		return found
	}
	trip := min(typical, tripSpread*shortest)
	facts := t.spanFacts(spans[0])
	delete(facts, "statement")
	delete(facts, "statement_key")
	facts["calls"], facts["round_trip"] = strconv.Itoa(len(spans)), duration(seconds(trip))
	return append(found, pattern{server: server, to: peer, spans: spans, value: float64(len(spans)), facts: facts, cut: func(c Cuts) {
		t.cutTrips(c, spans, trip, typical-trip)
		t.cutBetween(c, spans, trip)
	}})
}

// cutTrips takes the round trip off every short call but one. Of what remains
// of each no more is left than work, what a typical one has: what made some of
// many calls longer is chance, which one call seldom meets.
func (t *Trace) cutTrips(c Cuts, calls []int32, trip, work int64) {
	keep := t.longest(calls)
	for _, i := range calls {
		d, once := t.Spans[i].Duration(), int64(0)
		if i == keep {
			once = trip
		}
		if d < shortCall {
			t.CutSelf(c, i, d-once-min(max(d-trip, 0), work))
		}
	}
}
