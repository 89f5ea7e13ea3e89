package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindSerialCalls is the time that reads of different services, made one
// after another, would save if made together: s a request.
const FindSerialCalls Kind = "calls.serial"

// FindSerialIndependent is how much speaks for it that none of the calls needs
// the answer of another, 0..1. Traces show time and not data: that calls follow
// each other closely does not yet tell a habit from a chain.
const FindSerialIndependent Kind = FindSerialCalls + ".independent"

// independence of calls in series, as the fact of that name has it.
const (
	shown    = "shown"    // other traces have them overlapping or in another order
	similar  = "similar"  // one question to several: a loop over peers or items
	presumed = "presumed" // nothing tells
)

const (
	// fewestInSeries without proof that they are independent: three reads of
	// different services in a row are seldom a chain of data, two often are.
	fewestInSeries = 3
	// seriesGap is what may lie between them, as is or as a share of the
	// parent: more is work on an answer, so that the next may depend on it.
	seriesGap      = 2 * int64(time.Millisecond)
	seriesGapShare = 0.05
	// leastParallelGain is the share of the request that must be saved.
	leastParallelGain = 0.1
)

var serialCalls = Analyzer{
	Name: "serial-calls",
	Doc: "Finds reads of different services or routes that one span makes one after another with next to nothing in between, so that they could " +
		"run at once: three or more, or two where other traces show them in another order or overlapping. Writes and statements of one database are " +
		"not counted. Value is the seconds a request would save; the gain keeps only the longest of them, and is an upper bound where nothing shows that they are independent.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindSerialCalls, FindSerialCalls + ".recurrence", FindSerialIndependent},
	Run:   runSerialCalls,
}

var serialDetector = detector{
	rule: "serial-calls", finds: FindSerialCalls, unit: "s",
	find: func(t *Trace) []pattern { return t.callsInSeries(t.readsByParent(), nil) },
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s makes %s calls one after another that may not need each other, %s longer than at once: %s.", g.place.Operation, g.example.facts["calls"], duration(g.median), g.brief())
	},
	warning: func(g *occurrences) string {
		if g.example.facts["independence"] != presumed {
			return ""
		}
		return "the gain is an upper bound: nothing shows that no call needs the answer of another"
	},
	ownCut: true,
	also:   reportIndependence,
}

func reportIndependence(p *Pass, g *occurrences, e evidence.Entity) {
	f := Finding{Kind: FindSerialIndependent, Entity: e, Value: 1, Unit: "1", Text: "Other traces have the calls overlapping or in another order: none needs the answer of another."}
	switch g.example.facts["independence"] {
	case similar:
		f.Text = "The calls ask the same of several: such questions seldom need each other's answers."
	case presumed:
		f.Value, f.Text = 0, "Different questions, always in one order: traces do not show whether one needs the answer of another."
	}
	p.Report(f)
}

func runSerialCalls(p *Pass) error {
	reads := make(map[*Trace][][]call, len(p.Facts.Traces))
	for _, t := range p.Facts.Traces {
		if of := t.readsByParent(); of != nil {
			reads[t] = of
		}
	}
	independent := independentCalls(p.Facts.Traces, reads)
	d := serialDetector
	d.find = func(t *Trace) []pattern { return t.callsInSeries(reads[t], independent) }
	return d.analyze(p)
}

// calleePair is two callees of one operation, in the order of compare.
type calleePair struct {
	place *evidence.Entity
	a, b  *callee
}

func (t *Trace) pairOf(x, y call) calleePair {
	if x.to.compare(*y.to) > 0 {
		x, y = y, x
	}
	return calleePair{t.place(x.span), x.to, y.to}
}

// independentCalls are the pairs that do not need each other: one overlap or
// one exchange of their order disproves a dependency (CRISP's "one
// counter-example drops the edge").
func independentCalls(traces []*Trace, reads map[*Trace][][]call) map[calleePair]bool {
	first, independent := map[calleePair]*callee{}, map[calleePair]bool{}
	for _, t := range traces {
		for _, run := range reads[t] {
			for k := 1; k < len(run); k++ {
				x, y := run[k-1], run[k]
				if x.to == y.to {
					continue
				}
				pair := t.pairOf(x, y)
				if before, seen := first[pair]; t.Spans[y.span].Start < t.Spans[x.span].End-clockRounding || seen && before != x.to {
					independent[pair] = true
				}
				first[pair] = x.to
			}
		}
	}
	return independent
}

// readsByParent lists the reads of services that each span makes, by start,
// where it makes more than one.
func (t *Trace) readsByParent() [][]call {
	reads := make([]call, 0, len(t.called))
	for _, c := range t.called {
		if t.Parent[c.span] >= 0 && isServiceRead(c.to) && t.blocks(c.span) {
			reads = append(reads, c)
		}
	}
	slices.SortStableFunc(reads, func(a, b call) int { return cmp.Compare(t.Parent[a.span], t.Parent[b.span]) })
	var out [][]call
	for len(reads) > 0 {
		n := 1
		for n < len(reads) && t.Parent[reads[n].span] == t.Parent[reads[0].span] {
			n++
		}
		if n > 1 {
			out = append(out, reads[:n:n])
		}
		reads = reads[n:]
	}
	return out
}

func isServiceRead(to *callee) bool {
	switch to.system {
	case "http":
		return to.verb == "GET" || to.verb == "HEAD" || to.verb == "QUERY"
	case "grpc", "rpc":
		return true
	}
	return false
}

func (t *Trace) callsInSeries(reads [][]call, independent map[calleePair]bool) []pattern {
	var found []pattern
	for _, calls := range reads {
		for len(calls) > 0 {
			n := t.seriesLength(calls)
			run := calls[:n]
			calls = calls[n:]
			if n >= fewestInSeries || n == 2 && independent[t.pairOf(run[0], run[1])] {
				found = t.appendSeries(found, run, t.independence(run, independent))
			}
		}
	}
	return found
}

// seriesLength is how many of the calls from the first on follow each other
// closely, each to another callee.
func (t *Trace) seriesLength(calls []call) int {
	parent := &t.Spans[t.Parent[calls[0].span]]
	gap := max(seriesGap, int64(seriesGapShare*float64(parent.Duration())))
	for n := 1; n < len(calls); n++ {
		pause := t.Spans[calls[n].span].Start - t.Spans[calls[n-1].span].End
		again := slices.ContainsFunc(calls[:n], func(c call) bool { return c.to == calls[n].to })
		if pause < -clockRounding || pause > gap || again {
			return n
		}
	}
	return len(calls)
}

// independence of the calls of a series.
func (t *Trace) independence(run []call, independent map[calleePair]bool) string {
	proof, same := true, true
	for k := 1; k < len(run); k++ {
		proof = proof && independent[t.pairOf(run[k-1], run[k])]
		same = same && run[k-1].to.resembles(run[k].to)
	}
	switch {
	case proof:
		return shown
	case same:
		return similar
	}
	return presumed
}

// resembles: the same question to another peer, or about another item: routes
// that differ in one part.
func (c *callee) resembles(o *callee) bool {
	if c.system != o.system || c.verb != o.verb || c.target == "" {
		return false
	}
	if c.peer != o.peer {
		return c.target == o.target
	}
	a, b := strings.Split(c.target, "/"), strings.Split(o.target, "/")
	differ := 0
	for k := range min(len(a), len(b)) {
		if a[k] != b[k] {
			differ++
		}
	}
	return len(a) == len(b) && len(a) > 2 && differ == 1
}

func (t *Trace) appendSeries(found []pattern, run []call, independence string) []pattern {
	spans, names := make([]int32, len(run)), make([]string, len(run))
	var all, longest int64
	for k, c := range run {
		spans[k], names[k] = c.span, c.to.String()
		all += t.Spans[c.span].Duration()
		longest = max(longest, t.Spans[c.span].Duration())
	}
	server := t.server[spans[0]]
	if float64(all-longest) < leastParallelGain*float64(t.Spans[server].Duration()) || !t.matters(server, spans) {
		return found
	}
	slices.SortFunc(names, cmp.Compare)
	keep := t.longest(spans)
	return append(found, pattern{
		server: server, to: callee{target: strings.Join(names, ", ")}, spans: spans, value: seconds(all - longest),
		facts: map[string]string{"calls": strconv.Itoa(len(run)), "independence": independence},
		cut: func(c Cuts) {
			for _, i := range spans {
				if i != keep {
					t.CutSubtree(c, i)
				}
			}
		},
	})
}
