package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindStampede is the number of requests that missed one key of a cache at
// once, each doing the work that one could have done for all.
const FindStampede Kind = "cache.stampede"

const (
	// fewestAtOnce misses of one key within the time of one fall-back: fewer
	// happen by chance wherever a popular key expires.
	fewestAtOnce = 5
	// fewestSeen of them must have been traced, for how many traces one
	// speaks: two that fall together may do so by chance.
	fewestSeen = 3
)

var cacheStampede = Analyzer{
	Name: "cache-stampede",
	Doc: "Finds one key that five or more requests missed within the time that the first of them took to fetch it: all do the same work. " +
		"Keys are told apart by their parameters where these were kept. Value is the number of requests at once; where not all requests were traced, each of those that were " +
		"speaks for as many as the metrics, or the database, counted. The gain is that of one fetch for all: it takes as long as the shortest seen, and the others wait for its end.",
	Needs: []evidence.Kind{evidence.Spans},
	Uses:  []evidence.Kind{evidence.ServerLatency, evidence.PGStatements},
	Finds: []Kind{FindStampede, FindStampede + ".recurrence"},
	Run:   runStampede,
}

var stampedeDetector = detector{
	rule: "cache-stampede", finds: FindStampede, unit: "1",
	text: func(g *occurrences) string {
		return fmt.Sprintf("%.0f requests at once miss the same key of %s and fetch it each for itself: %s.", g.median, g.brief(), shorten(g.example.facts["fallback"], 100))
	},
}

// miss is one lookup that missed, in Unix ns.
type miss struct {
	trace    *Trace
	lookup   lookup
	from, to int64 // from the read to the end of what replaced it
}

// cachedKey is one key of one cache, as far as it is known.
type cachedKey struct {
	cache        *callee
	prefix, hash string
}

func runStampede(p *Pass) error {
	found, scales := map[*Trace][]pattern{}, map[counted]float64{}
	for _, misses := range missesByKey(p.Facts.Traces) {
		alone := shortest(misses)
		for len(misses) > 0 {
			n := atOnce(misses)
			if requests := p.requestsOf(misses[:n], scales); n >= fewestSeen && requests >= fewestAtOnce {
				until := misses[0].from + alone
				for _, m := range misses[:n] {
					found[m.trace] = append(found[m.trace], m.pattern(requests, until))
				}
			}
			misses = misses[n:]
		}
	}
	d := stampedeDetector
	d.find = func(t *Trace) []pattern { return found[t] }
	return d.analyze(p)
}

// counted is what of the run some misses were counted by: the operation that
// the root asks for, and the statement that fetches the value, "" if none does.
type counted struct {
	asks      evidence.Entity
	statement string
}

// requestsOf the run that some misses speak for. scales remembers how many
// were counted for each that was traced.
func (p *Pass) requestsOf(misses []miss, scales map[counted]float64) float64 {
	sum := 0.0
	for _, m := range misses {
		by := counted{m.trace.asks, m.trace.Spans[m.lookup.fallback[0].span].Attr(evidence.AttrDBKey)}
		scale, known := scales[by]
		if !known {
			scale = max(p.Facts.countedPerTraced(by.asks), p.callsPerTraced(by.statement))
			scales[by] = scale
		}
		sum += max(1, scale*m.trace.Weight)
	}
	return math.Round(sum)
}

// callsPerTraced is how many calls of a statement the database counted for each
// that the traces speak for; 0 where nobody counted.
func (p *Pass) callsPerTraced(key string) float64 {
	calls, traced := 0.0, 0.0
	for i := range p.Bundle.Postgres {
		for k := range p.Bundle.Postgres[i].Statements {
			if s := &p.Bundle.Postgres[i].Statements[k]; key != "" && s.Key == key && s.TopLevel && !p.Bundle.Postgres[i].Subset {
				calls += s.Calls
			}
		}
	}
	for _, t := range p.Facts.statementSpans(key).traces {
		for i := range t.Spans {
			if t.Spans[i].Attr(evidence.AttrDBKey) == key {
				traced += t.Weight
			}
		}
	}
	return per(calls, traced)
}

// countedPerTraced is how many requests for an operation were counted for each
// that its traces speak for, at least 1; 1 where nobody counted.
func (f *Facts) countedPerTraced(e evidence.Entity) float64 {
	s, traced := f.Symptom(e.Service, e.Operation), f.index.asked[e]
	if s == nil || traced == nil || traced.weight == 0 {
		return 1
	}
	return max(1, s.Requests/traced.weight)
}

// shortest is what a fetch takes that is made alone, as far as was seen, in ns.
func shortest(misses []miss) int64 {
	least := misses[0].to - misses[0].from
	for _, m := range misses {
		least = min(least, m.to-m.from)
	}
	return least
}

// missesByKey lists the misses of every key by time. Only what was written
// back counts: nothing else proves a miss.
func missesByKey(traces []*Trace) [][]miss {
	at := map[cachedKey]int{}
	var out [][]miss
	for _, t := range traces {
		for _, l := range t.lookups {
			if !l.missed() || l.write < 0 {
				continue
			}
			s := &t.Spans[l.read]
			key := cachedKey{l.cache, l.prefix, s.Attr(evidence.AttrParamsHash)}
			if key.hash == "" && (key.prefix == "" || strings.Contains(s.Attr(evidence.AttrDBQuery), "?")) {
				continue // which key was read is not known
			}
			k, ok := at[key]
			if !ok {
				k = len(out)
				at[key] = k
				out = append(out, nil)
			}
			out[k] = append(out[k], miss{t, l, s.Start, t.Spans[l.write].End})
		}
	}
	for _, misses := range out {
		slices.SortStableFunc(misses, func(a, b miss) int { return cmp.Compare(a.from, b.from) })
	}
	return out
}

// atOnce is how many misses from the first on began before it was over.
func atOnce(misses []miss) int {
	n := 1
	for n < len(misses) && misses[n].from < misses[0].to {
		n++
	}
	return n
}

// pattern of a miss among so many requests, which with one fetch for all would
// have its value at a time until.
func (m *miss) pattern(requests float64, until int64) pattern {
	t, l := m.trace, m.lookup
	facts := t.missFacts(&l)
	facts["requests"] = strconv.FormatFloat(requests, 'f', 0, 64)
	spans := append(callSpans(l.fallback), l.write)
	return pattern{server: t.server[l.read], to: *l.cache, spans: spans, value: requests, facts: facts, cut: func(c Cuts) {
		t.cutMisses(c, []lookup{l})
		t.waitInstead(c, l.fallback[0].span, until)
	}}
}

// waitInstead leaves of a call that was cut what lies before a time.
func (t *Trace) waitInstead(c Cuts, call int32, until int64) {
	if s := &t.Spans[call]; until > s.Start {
		c[call] = 0
		t.Shorten(c, call, min(1, float64(until-s.Start)/float64(s.Duration())))
	}
}
