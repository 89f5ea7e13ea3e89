package analyzers

import (
	"math"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// rough is what is known of a mechanism's cost where no trace tells.
type rough struct {
	service string  // whose operations meet it; "": any
	before  bool    // it lies before the service's own measurement begins: the operations of others meet it
	calls   float64 // how often it struck in the window, once a request that meets it; 0: not known
	strikes float64 // how often in all, whichever statement; 0: not known
	lasts   float64 // s, mean of a call that it strikes, all of it; 0: not known
	saved   func(*Symptom) float64
	even    bool  // each request that meets it waits about as long
	moves   *wave // the p95 of what it holds up moves with it; nil: not known
	method  string
}

// wave is the course of a mechanism over time.
type wave struct {
	times  []int64 // Unix ms
	values []float64
}

// together is the rank correlation from which two courses move together.
const together = 0.5

// meets says whether an operation may meet the mechanism at all: any may where
// a client alone saw the requests.
func (r rough) meets(s *Symptom) bool {
	switch {
	case s.Requests < minRequests:
		return false
	case s.Source == fromClient:
		return true
	case r.service == "":
	case r.before == (s.Entity.Service == r.service):
		return false
	}
	return r.moves == nil || s.movesWith(r.moves.times, r.moves.values) >= together
}

// cost of the mechanism to the tail of an operation, s. A wait that each
// request has alike and that the typical one can hold is as large a share of a
// slow one.
func (r rough) cost(s *Symptom) float64 {
	if saved := r.saved(s); !r.even || saved > s.P50 {
		return min(saved, s.P95)
	}
	return r.inEach(s)
}

// evenly is a wait that every request has alike, s.
func evenly(wait float64) func(*Symptom) float64 {
	return func(*Symptom) float64 { return wait }
}

// orRough estimates the gain from metrics or the database's account, where no
// trace could tell: of the operations that may meet the mechanism the one that
// it costs most, and of those that it costs alike the slowest. The interval
// reaches from a third to the double: the tail of a wait is longer than its
// mean.
func (p *Pass) orRough(i *Impact, hurt []evidence.Entity, r rough) (*Impact, []evidence.Entity) {
	if i != nil || len(p.Facts.Traces) > 0 {
		return i, hurt
	}
	return p.roughImpact(r)
}

// roughImpact is what orRough estimates.
func (p *Pass) roughImpact(r rough) (*Impact, []evidence.Entity) {
	if s := p.askedAsOften(r); s != nil {
		return r.impact(s, r.inEach(s))
	}
	var worst *Symptom
	most := 0.0
	for i := range p.Facts.Symptoms {
		s := &p.Facts.Symptoms[i]
		if !r.meets(s) || !r.canMove(s) {
			continue
		}
		if in := s.inSpell(); r.cost(in)*s.P95 > r.cost(s)*in.P95 {
			s = in
		}
		saved := r.cost(s)
		if saved > most || saved == most && worst != nil && s.P95 > worst.P95 {
			worst, most = s, saved
		}
	}
	if worst == nil {
		return nil, nil
	}
	i, hurt := r.impact(worst, most)
	if worst.P95 != p.Facts.Symptom(worst.Entity.Service, worst.Entity.Operation).P95 {
		i.Spell = worst.Spell
	}
	return i, hurt
}

// canMove says whether a mechanism that struck so often can be what an
// operation's slow requests wait for: it meets as many as there are slow ones,
// and a request is no shorter than a call it makes. A p95 is known to within a
// bucket, of which the next is often twice as wide.
func (r rough) canMove(s *Symptom) bool {
	return (r.strikes == 0 || r.strikes >= (1-tracedTail)*s.Requests) && r.lasts <= 2*s.P95
}

func (r rough) impact(s *Symptom, saved float64) (*Impact, []evidence.Entity) {
	return &Impact{Operation: s.Entity, Percentile: tracedTail, Now: s.P95, Then: s.P95 - saved,
		Low: saved / 3, High: min(2*saved, s.P95), Method: r.method}, []evidence.Entity{s.Entity}
}

// callsAgree: calls and requests of the same minutes differ by a few per cent,
// since a rate misses what came before a counter's first sample and after its
// last.
const callsAgree = 0.06

// askedAsOften is the operation that each request of meets the mechanism once:
// the one that is asked about as often as it strikes, and of several the
// fastest that can hold it. Nil where none is.
func (p *Pass) askedAsOften(r rough) *Symptom {
	var fastest *Symptom
	for i := range p.Facts.Symptoms {
		s := &p.Facts.Symptoms[i]
		if !r.meets(s) {
			continue
		}
		holds := math.Abs(r.calls/s.Requests-1) <= callsAgree && s.P95 >= r.saved(s)
		if holds && (fastest == nil || s.P95 < fastest.P95) {
			fastest = s
		}
	}
	return fastest
}

// inEach is what a wait in each request costs the tail: a mean that is some
// share of the median request is taken to be that share of a slow one.
func (r rough) inEach(s *Symptom) float64 {
	if s.P50 == 0 {
		return r.saved(s)
	}
	return min(1, r.saved(s)/s.P50) * s.P95
}

// queued is the tail of a wait in a queue: with a mean over all who ask, and
// the share of them that wait at all. Among those that wait it is distributed
// exponentially (M/M/c; Kleinrock, Queueing Systems I, 1975). A request that
// does not wait takes at least the median where fewer than half do: no more
// than what lies above it can be saved.
func queued(wait, share float64) func(*Symptom) float64 {
	tail := func(q float64) float64 {
		if share <= 1-q {
			return 0
		}
		return wait / share * math.Log(share/(1-q))
	}
	return func(s *Symptom) float64 {
		return min(tail(tracedTail), s.P95-max(0, s.P50-tail(0.5)))
	}
}

// aboveBaseline is how far the tail of an operation lies above its baseline,
// s; 0 where it has none.
func aboveBaseline(s *Symptom) float64 {
	if s.BaselineP95 == 0 {
		return 0
	}
	return max(0, s.P95-s.BaselineP95)
}
