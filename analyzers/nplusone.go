package analyzers

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Kinds found by n-plus-one.
const (
	FindRepeatedCalls      Kind = "calls.repeated"
	FindRepeatedRecurrence Kind = "calls.repeated.recurrence"
)

const (
	// fewestRepeats makes a loop of what may be a handful of lookups: five,
	// as Sentry's and Digma's detectors have it.
	fewestRepeats = 5
	// serialEnough tolerates a few overlaps from rounding and pipelining.
	serialEnough = 0.8
	// leastShare of the request that a mechanism must take, and leastTime, to
	// be worth naming.
	leastShare = 0.05
	leastTime  = int64(time.Millisecond)
	// itemWork is how much of the caller's own time after a call counts as
	// the call's overhead where calls are shorter: driver, scheduling,
	// marshalling. What exceeds it is work on the item, which one call for
	// all items would not spare.
	itemWork = int64(time.Millisecond)
	// furtherRow is what each further row adds to one call for all of them, as
	// a share of a call for one: most of a short call is the way there and
	// back, parsing and locking, not the row. A guess on the careful side.
	furtherRow = 0.1
)

var nPlusOneDetector = detector{
	rule: "n-plus-one", finds: FindRepeatedCalls, unit: "1", find: repeatedCalls,
	text: func(g *occurrences) string {
		text := fmt.Sprintf("%s makes the same call %.0f times, one after another, in %s of its requests: %s", g.place.Operation, g.median, percent(g.share), g.brief())
		if with := g.example.facts["with"]; with != "" {
			text += ", each time with " + with
		}
		return text + "."
	},
}

var nPlusOne = Analyzer{
	Name: "n-plus-one",
	Doc: "Finds requests that ask one thing again and again, in a row, where one question would do: at least five calls with the same " +
		"normalised statement, route, method, cache command or destination within one request of a service, whatever lies between them. " +
		"Retries, pagination and parallel calls are not counted. The gain is what the request would be with one call in place of all.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindRepeatedCalls, FindRepeatedRecurrence},
	Run:   nPlusOneDetector.analyze,
}

// repeatedCalls finds N+1 in one trace. Callees that take turns are one loop
// with one gain: told once, under the first statement that it asks, else the
// first callee.
func repeatedCalls(t *Trace) []pattern {
	var found []pattern
	for _, turn := range t.loops() {
		first := turn[0]
		if !t.matters(first.server, spansOfTurn(turn)) {
			continue
		}
		found = append(found, t.repeatedPattern(turn))
	}
	return found
}

// loops are the callees that a request asks again and again in a row, those
// together that take turns.
func (t *Trace) loops() [][]callGroup {
	var out [][]callGroup
	for _, g := range t.groups {
		if len(g.calls) < fewestRepeats || len(t.withoutRetries(g.calls)) < fewestRepeats || t.serial(g.calls) < serialEnough || t.paginates(g) {
			continue
		}
		k := slices.IndexFunc(out, func(turn []callGroup) bool { return turn[0].server == g.server && t.takeTurns(turn[0].calls, g.calls) })
		if k < 0 {
			out = append(out, []callGroup{g})
			continue
		}
		out[k] = append(out[k], g)
	}
	for _, turn := range out {
		slices.SortStableFunc(turn, func(a, b callGroup) int { return cmp.Compare(t.asksDatabase(b), t.asksDatabase(a)) })
	}
	return out
}

// asksDatabase is 1 for statements and 0 for other calls.
func (t *Trace) asksDatabase(g callGroup) int {
	if isStatement(&t.Spans[g.calls[0]]) {
		return 1
	}
	return 0
}

// takeTurns reports whether nearly every call of b lies between one of a and
// the next, as in a loop that asks for both.
func (t *Trace) takeTurns(a, b []int32) bool {
	if n := min(len(a), len(b)); float64(max(len(a), len(b))-n) > (1-serialEnough)*float64(n) {
		return false
	}
	turns, k, last := 0, 0, -1
	for _, i := range b {
		for k < len(a) && t.Spans[a[k]].Start < t.Spans[i].Start {
			k++
		}
		if k != last {
			turns++
		}
		last = k
	}
	return float64(turns) >= serialEnough*float64(len(b))
}

// spansOfTurn all calls of some groups.
func spansOfTurn(groups []callGroup) []int32 {
	var all []int32
	for _, g := range groups {
		all = append(all, g.calls...)
	}
	return all
}

func (t *Trace) repeatedPattern(turn []callGroup) pattern {
	g := turn[0]
	n := len(t.withoutRetries(g.calls))
	facts := t.spanFacts(g.calls[0])
	facts["calls"] = strconv.Itoa(n)
	if t.identical(g.calls) {
		facts["duplicate"] = "true"
	}
	if len(turn) > 1 {
		others := make([]string, 0, len(turn)-1)
		for _, o := range turn[1:] {
			others = append(others, shorten(o.to.String(), 100))
		}
		facts["with"] = strings.Join(others, "; ")
	}
	spans := spansOfTurn(turn)
	slices.SortFunc(spans, t.compareStart)
	return pattern{server: g.server, to: *g.to, spans: spans, value: float64(n), facts: facts,
		cut: func(c Cuts) { t.cutRepeats(c, turn) }}
}

// withoutRetries leaves out calls that repeat one that had failed just before.
func (t *Trace) withoutRetries(calls []int32) []int32 {
	kept := make([]int32, 0, len(calls))
	for k, i := range calls {
		if k == 0 || !t.retries(calls[k-1], i) {
			kept = append(kept, i)
		}
	}
	return kept
}

// retries reports whether a call tries again what the one before failed at.
func (t *Trace) retries(before, i int32) bool {
	a, b := &t.Spans[before], &t.Spans[i]
	return failed(a) && b.Start >= a.End-clockRounding && a.Attr(evidence.AttrParamsHash) == b.Attr(evidence.AttrParamsHash)
}

// identical reports whether every call carries the same parameters.
func (t *Trace) identical(calls []int32) bool {
	params := t.Spans[calls[0]].Attr(evidence.AttrParamsHash)
	return params != "" && !slices.ContainsFunc(calls, func(i int32) bool { return t.Spans[i].Attr(evidence.AttrParamsHash) != params })
}

// paged recognises statements that fetch a page: by offset, or from a key on.
var paged = regexp.MustCompile(`\boffset \?|[<>]=? \?.*\border by\b.*\b(limit|fetch (first|next)) \?`)

// paginates reports whether the calls walk through the pages of one result.
// Both sorts of pages have a word that few statements have and that is found
// faster than the expression.
func (t *Trace) paginates(g callGroup) bool {
	mayPage := strings.Contains(g.to.target, "offset") || strings.Contains(g.to.target, "order by")
	return mayPage && paged.MatchString(g.to.target) && !t.identical(g.calls)
}

// matters reports whether the calls hold up their request noticeably.
func (t *Trace) matters(server int32, calls []int32) bool {
	on := t.onPath(calls)
	return on >= leastTime && float64(on) >= leastShare*float64(t.Spans[server].Duration())
}

// cutRepeats leaves one call, as the one that would ask for everything, and
// removes the others with what the caller spends between them. The longest is
// left, but no longer than a typical one with the further rows: what made it
// the longest of many is chance, which one call seldom meets.
func (t *Trace) cutRepeats(c Cuts, turn []callGroup) {
	wrappers := map[int32]bool{}
	allowed := int64(0)
	for _, g := range turn {
		overhead := max(t.medianDuration(g.calls), itemWork)
		allowed += overhead
		keep := t.keepOne(c, g.calls)
		for k, i := range g.calls {
			if i != keep {
				t.CutSubtree(c, i)
				t.cutWrappers(c, i, t.bodyOf(g.calls, k), overhead, wrappers)
			}
		}
	}
	t.cutBetween(c, turn[0].calls, allowed)
}

// cutBetween takes off what the caller spends from one turn of the loop to
// the next, each time up to a limit.
func (t *Trace) cutBetween(c Cuts, calls []int32, allowed int64) {
	between := map[int32][]stretch{} // by parent of the turns
	for k := 1; k < len(calls); k++ {
		if last, body := t.bodyOf(calls, k-1), t.bodyOf(calls, k); last != body && t.Parent[last] == t.Parent[body] {
			between[t.Parent[body]] = append(between[t.Parent[body]], stretch{t.Spans[last].End, t.Spans[body].Start})
		}
	}
	for parent, gaps := range between {
		t.CutSelf(c, parent, t.selfWithin(parent, gaps, allowed))
		t.cutPlumbing(c, parent, gaps)
	}
}

// keepOne shortens the longest of the calls to what one call for all of them
// would take.
func (t *Trace) keepOne(c Cuts, calls []int32) int32 {
	keep := t.longest(calls)
	took := float64(t.Spans[keep].Duration())
	if whole := float64(t.medianDuration(calls)) * (1 + furtherRow*float64(len(calls)-1)); whole < took {
		t.Shorten(c, keep, whole/took)
	}
	return keep
}

// bodyOf climbs from a call to the span that stands for one turn of the loop:
// the topmost one above it during which none of its neighbours ran.
func (t *Trace) bodyOf(calls []int32, k int) int32 {
	i := calls[k]
	for p := t.Parent[i]; p >= 0 && p != t.server[calls[k]]; p = t.Parent[p] {
		s := &t.Spans[p]
		if k > 0 && t.Spans[calls[k-1]].End > s.Start || k+1 < len(calls) && t.Spans[calls[k+1]].Start < s.End {
			break
		}
		i = p
	}
	return i
}

// cutWrappers takes off what the spans around a call spend by themselves, of
// each once.
func (t *Trace) cutWrappers(c Cuts, call, body int32, allowed int64, done map[int32]bool) {
	for i := call; i != body; {
		i = t.Parent[i]
		if !done[i] {
			done[i] = true
			t.CutSelf(c, i, min(t.SelfTime(i), allowed))
		}
	}
}

// stretch is a time from one instant to another, in Unix ns.
type stretch struct{ from, to int64 }

// selfWithin is the self time of a span within some stretches, in order and
// apart, each counted up to a limit.
func (t *Trace) selfWithin(span int32, within []stretch, limit int64) int64 {
	sum, k, here := int64(0), 0, int64(0)
	for lo, hi := range t.selfTimes(span) {
		for k < len(within) && within[k].to <= lo {
			sum += min(here, limit)
			k, here = k+1, 0
		}
		for j := k; j < len(within) && within[j].from < hi; j++ {
			here += max(min(hi, within[j].to)-max(lo, within[j].from), 0)
			if within[j].to > hi {
				break
			}
			sum += min(here, limit)
			k, here = j+1, 0
		}
	}
	return sum + min(here, limit)
}

// cutPlumbing removes what the driver did for the calls between them.
func (t *Trace) cutPlumbing(c Cuts, parent int32, within []stretch) {
	k := 0
	for _, i := range t.children(parent) {
		s := &t.Spans[i]
		for k < len(within) && within[k].to+clockRounding < s.End {
			k++
		}
		if k < len(within) && s.Start >= within[k].from-clockRounding && isPlumbing(s) {
			t.CutSubtree(c, i)
		}
	}
}

func (t *Trace) longest(calls []int32) int32 {
	best := calls[0]
	for _, i := range calls {
		if t.Spans[i].Duration() > t.Spans[best].Duration() {
			best = i
		}
	}
	return best
}

func (t *Trace) medianDuration(calls []int32) int64 {
	durations := make([]int64, len(calls))
	for k, i := range calls {
		durations[k] = t.Spans[i].Duration()
	}
	slices.Sort(durations)
	return durations[len(durations)/2]
}
