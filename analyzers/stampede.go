package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindStampede is the number of requests that missed one key of a cache at
// once, each doing the work that one could have done for all.
const FindStampede Kind = "cache.stampede"

// fewestAtOnce misses of one key within the time of one fall-back: fewer
// happen by chance wherever a popular key expires.
const fewestAtOnce = 5

var cacheStampede = Analyzer{
	Name: "cache-stampede",
	Doc: "Finds one key that five or more requests missed within the time that the first of them took to fetch it: all do the same work. " +
		"Keys are told apart by their parameters where these were kept. Value is the number of requests at once. " +
		"The gain removes the fetches of all but the first, an upper bound: with one fetch for all the others still wait for its end.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindStampede, FindStampede + ".recurrence"},
	Run:   runStampede,
}

var stampedeDetector = detector{
	rule: "cache-stampede", finds: FindStampede, unit: "1", warning: bound("nobody but the first waits"),
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
	cache        callee
	prefix, hash string
}

func runStampede(p *Pass) error {
	found := map[*Trace][]pattern{}
	for _, misses := range missesByKey(p.Facts.Traces) {
		for len(misses) > 0 {
			n := atOnce(misses)
			if n >= fewestAtOnce {
				for k, m := range misses[:n] {
					found[m.trace] = append(found[m.trace], m.pattern(n, k == 0))
				}
			}
			misses = misses[n:]
		}
	}
	d := stampedeDetector
	d.find = func(t *Trace) []pattern { return found[t] }
	return d.analyze(p)
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
			key := cachedKey{cacheOf(s), l.prefix, s.Attr(evidence.AttrParamsHash)}
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

func (m *miss) pattern(atOnce int, first bool) pattern {
	t, l := m.trace, m.lookup
	facts := t.missFacts(&l)
	facts["requests"] = strconv.Itoa(atOnce)
	spans := append(slices.Clone(l.fallback), l.write)
	return pattern{server: t.server[l.read], to: cacheOf(&t.Spans[l.read]), spans: spans, value: float64(atOnce), facts: facts, cut: func(c Cuts) {
		if !first {
			t.cutMisses(c, []lookup{l})
		}
	}}
}
