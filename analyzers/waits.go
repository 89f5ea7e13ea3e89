package analyzers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// fewestSightings of sessions below which sampled waits say nothing: the
// error of n sightings is about 2 sqrt(n).
const fewestSightings = 10

// waiting is one class of waits of a server's active sessions, as sampled,
// and what it costs each statement.
type waiting struct {
	pg       *evidence.Postgres
	in, seen map[string]int // sightings in the class and at all, by statement
	count    int            // sightings in the class
	total    int            // sightings of active sessions
}

// waitingFor counts the sightings of active sessions that match.
func waitingFor(pg *evidence.Postgres, match func(*evidence.WaitSample) bool) *waiting {
	w := &waiting{pg: pg, in: map[string]int{}, seen: map[string]int{}}
	for i := range pg.Activity {
		s := &pg.Activity[i]
		if !isActive(s) {
			continue
		}
		id := cmp.Or(s.QueryID, strings.ToUpper(s.Verb))
		w.seen[id] += s.Sessions
		w.total += s.Sessions
		if match(s) {
			w.in[id] += s.Sessions
			w.count += s.Sessions
		}
	}
	return w
}

// sessions is how many waited at a time, on average.
func (w *waiting) sessions() float64 { return per(float64(w.count), float64(w.pg.Ticks)) }

// share of the active sessions' time, 0..1.
func (w *waiting) share() float64 { return per(float64(w.count), float64(w.total)) }

// seconds are those that sessions spent in the class over the window.
func (w *waiting) seconds(sightings int) float64 {
	return per(float64(sightings), float64(w.pg.Ticks)) * accountSeconds(w.pg)
}

// accountSeconds is how long the account of a server lasts.
func accountSeconds(pg *evidence.Postgres) float64 { return float64(pg.Until-pg.Since) / 1000 }

// statementWait is what the class costs one statement.
type statementWait struct {
	*evidence.Statement
	count int     // sightings in the class
	share float64 // of the statement's active time, 0..1
	mean  float64 // s a call
}

// statements that were seen in the class, most sightings first. Waits without
// a query id belong to none.
func (w *waiting) statements() []statementWait {
	var out []statementWait
	for i := range w.pg.Statements {
		s := &w.pg.Statements[i]
		n := w.in[s.QueryID]
		if s.QueryID == "" || n == 0 {
			continue
		}
		out = append(out, statementWait{s, n, per(float64(n), float64(w.seen[s.QueryID])), w.seconds(n) / max(s.Calls, 1)})
	}
	slices.SortStableFunc(out, func(x, y statementWait) int { return cmp.Compare(y.count, x.count) })
	return out
}

// shares of the statements' time by statement key: what to cut.
func shares(list []statementWait, times float64) map[string]float64 {
	out := map[string]float64{}
	for _, s := range list {
		out[s.Key] = max(out[s.Key], clamp01(s.share*times))
	}
	return out
}

// longestWait is the longest mean wait of a call among statements, s.
func longestWait(list []statementWait) float64 {
	longest := 0.0
	for _, s := range list {
		longest = max(longest, s.mean)
	}
	return longest
}

// charge is what a mechanism costs the requests that meet it.
type charge struct {
	caller  evidence.Entity // service and operation that issue the statements
	impact  *Impact
	victims []evidence.Entity
	refs    []evidence.Ref // typical slow traces
}

// methodSampled is how a gain is known where there are no traces.
const methodSampled = "mean wait of the statement by the server's own account"

// charge predicts what requests would gain if statements, by key, lost a
// share of their time, and with it others the wait for their connections.
// saved is that of one call in s, for the estimate where there are no traces.
func (p *Pass) charge(cut map[string]float64, saved float64, method string) charge {
	touched, cuts := p.Facts.statementCuts(cut)
	touched, cuts = with(p.reliefs(p.services(cut), freedBy(cut)), touched, cuts)
	return p.chargeCuts(touched, cuts, p.callerOf(cut), p.roughOf(cut, saved, method))
}

// services that send any of some statements, by name.
func (p *Pass) services(cut map[string]float64) []string {
	var out []string
	for k, share := range cut {
		if share == 0 {
			continue
		}
		for _, e := range p.Facts.callers(k) {
			out = append(out, e.Service)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// chargeCuts charges the caller's requests with what the cuts take out of
// them, or where no trace tells, with a rough estimate.
func (p *Pass) chargeCuts(touched []*Trace, cut func(*Trace) Cuts, caller evidence.Entity, without rough) charge {
	c := charge{caller: caller}
	impact, hurt := p.predictWorst(touched, cut)
	without.service = caller.Service
	c.impact, c.victims = p.orRough(impact, hurt, without)
	c.refs = typicalSlow(touched, 2)
	return c
}

// roughOf statements that lose a share of their time: the one that loses most
// says how often a request makes such a call and how long it lasts.
func (p *Pass) roughOf(cut map[string]float64, saved float64, method string) rough {
	r, most := rough{saved: evenly(saved), even: true, method: method}, 0.0
	for i := range p.Bundle.Postgres {
		for k := range p.Bundle.Postgres[i].Statements {
			s := &p.Bundle.Postgres[i].Statements[k]
			lost := s.Exec * cut[s.Key]
			if lost > 0 {
				r.strikes += s.Calls
			}
			if lost > most {
				most, r.calls, r.lasts = lost, s.Calls, s.Mean()
			}
		}
	}
	return r
}

// callerOf names the service and operation that issue statements; unset where
// no trace tells.
func (p *Pass) callerOf(cut map[string]float64) evidence.Entity {
	keys := make([]string, 0, len(cut))
	for k := range cut {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(cut[b], cut[a]), cmp.Compare(a, b)) })
	for _, k := range keys {
		if by := p.Facts.callers(k); len(by) > 0 {
			return by[0]
		}
	}
	return evidence.Entity{}
}

// about is the entity of a finding on something in a server.
func (c *charge) about(pg *evidence.Postgres, resource string) evidence.Entity {
	return evidence.Entity{Service: c.caller.Service, Operation: c.caller.Operation, Instance: pg.Server.Name, Resource: resource}
}

// finding with the charge's impact.
func (c *charge) finding(k Kind, e evidence.Entity, value float64, unit, text string, facts map[string]string) Finding {
	return Finding{Kind: k, Entity: e, Value: value, Unit: unit, Text: text, Facts: facts,
		Impact: c.impact, Victims: c.victims, Refs: append([]evidence.Ref{accountRef(k)}, c.refs...)}
}

// setting of a server, or "not known".
func setting(pg *evidence.Postgres, name string) string {
	return cmp.Or(pg.Server.Settings[name], "not known")
}

// serverFacts are what the remedies of every database rule speak of.
func serverFacts(pg *evidence.Postgres, facts map[string]string) map[string]string {
	facts["database"] = pg.Server.Name
	for name, v := range pg.Server.Settings {
		facts[name] = v
	}
	return facts
}
