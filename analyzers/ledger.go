package analyzers

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// The tail is what lies at or beyond the 95th percentile, the typical
	// request what lies between the 40th and the 60th: wide enough for a mean,
	// too narrow for the tail to reach into.
	typicalFrom, typicalTo = 0.40, 0.60
	// fewestOfBand is the least number of traces in tail and middle from which
	// means are taken.
	fewestOfBand = 3
)

// Ledger accounts for the tail of one operation: the mean time of a tail
// request beyond that of a typical one, split over what the critical path
// spent it on. The lines' excesses sum to the ledger's.
type Ledger struct {
	Target    evidence.Entity `json:"target"`
	Traces    int             `json:"traces"`
	Tail      int             `json:"tail_traces"`
	Typical   int             `json:"typical_traces"`
	Threshold float64         `json:"threshold_s"` // duration from which a request is in the tail
	TailTime  float64         `json:"tail_s"`      // mean of the tail
	UsualTime float64         `json:"typical_s"`   // mean of the typical
	Excess    float64         `json:"excess_s"`    // TailTime - UsualTime
	Lines     []LedgerLine    `json:"lines"`       // largest excess first
}

// LedgerLine is one thing that held up requests. Excess is Count + Duration,
// by the decomposition of Kitagawa (1955): how much of it comes from more
// occurrences, how much from longer ones.
type LedgerLine struct {
	Service   string  `json:"service"`
	What      string  `json:"what"` // operation, or statement or callee of a call
	Kind      string  `json:"kind"` // self, database, cache, call, messaging, driver (connecting, acquiring, transactions)
	TailTime  float64 `json:"tail_s"`
	UsualTime float64 `json:"typical_s"`
	Excess    float64 `json:"excess_s"`
	Count     float64 `json:"count_effect_s"`
	Duration  float64 `json:"duration_effect_s"`
	TailRuns  float64 `json:"tail_occurrences"` // on the path, mean a request
	UsualRuns float64 `json:"typical_occurrences"`
}

// ledgerKey is what a line is about.
type ledgerKey struct{ service, what, kind string }

// pathTime is what one thing held up one request: ns, in how many spans.
type pathTime struct {
	ns    int64
	spans int
}

// band is a weighted sum over some requests.
type band struct {
	traces int
	weight float64
	total  float64 // ns
	lines  map[ledgerKey]*bandLine
}

type bandLine struct{ time, spans float64 }

// LedgerOf splits the tail's excess of an operation, or gives nil where the
// sample is too small to have a tail and a middle.
func LedgerOf(traces []*Trace, target evidence.Entity) *Ledger {
	sample := sampleRequests(traces, target, func(*Trace) Cuts { return nil })
	if sample.traces < fewestTraces {
		return nil
	}
	threshold, _ := sample.percentiles(tracedTail, nil)
	from, _ := sample.percentiles(typicalFrom, nil)
	to, _ := sample.percentiles(typicalTo, nil)
	tail, usual := newBand(), newBand()
	for _, t := range traces {
		for _, i := range t.requests(target) {
			switch d := t.Spans[i].Duration(); {
			case d >= threshold:
				tail.add(t, i)
			case d >= from && d <= to:
				usual.add(t, i)
			}
		}
	}
	if tail.traces < fewestOfBand || usual.traces < fewestOfBand {
		return nil
	}
	l := &Ledger{Target: target, Traces: sample.traces, Tail: tail.traces, Typical: usual.traces, Threshold: seconds(threshold),
		TailTime: tail.mean(tail.total), UsualTime: usual.mean(usual.total)}
	l.Excess = l.TailTime - l.UsualTime
	l.Lines = ledgerLines(tail, usual)
	return l
}

func newBand() *band { return &band{lines: map[ledgerKey]*bandLine{}} }

func (b *band) add(t *Trace, request int32) {
	b.traces++
	b.weight += t.Weight
	b.total += t.Weight * float64(t.Spans[request].Duration())
	for k, x := range t.pathTimes(request) {
		line := b.lines[k]
		if line == nil {
			line = &bandLine{}
			b.lines[k] = line
		}
		line.time += t.Weight * float64(x.ns)
		line.spans += t.Weight * float64(x.spans)
	}
}

// mean of a weighted sum in ns, in s a request.
func (b *band) mean(sum float64) float64 { return sum / b.weight / 1e9 }

// pathTimes splits a request's critical path by what it was spent on.
func (t *Trace) pathTimes(request int32) map[ledgerKey]pathTime {
	times := map[ledgerKey]pathTime{}
	seen := map[int32]bool{}
	for _, g := range t.PathOf(request) {
		k := t.ledgerKey(g.Span)
		x := times[k]
		x.ns += g.End - g.Start
		if !seen[g.Span] {
			seen[g.Span] = true
			x.spans++
		}
		times[k] = x
	}
	return times
}

// ledgerKey says what a span's own time is: work of its service, or waiting
// for something that left no span of its own. The time of a call beyond its
// answer's is the way there and back.
func (t *Trace) ledgerKey(i int32) ledgerKey {
	s := &t.Spans[i]
	if !isCall(s) {
		return ledgerKey{s.Service, OperationOf(s), "self"}
	}
	to := t.calleeOf(i)
	kind := "call"
	switch {
	case isPlumbing(s):
		kind = "driver"
	case isCacheSystem(to.system):
		kind = "cache"
	case s.Attr(evidence.AttrDBSystem) != "":
		kind = "database"
	case to.verb == "publish":
		kind = "messaging"
	}
	return ledgerKey{s.Service, to.String(), kind}
}

func ledgerLines(tail, usual *band) []LedgerLine {
	keys := map[ledgerKey]bool{}
	for k := range tail.lines {
		keys[k] = true
	}
	for k := range usual.lines {
		keys[k] = true
	}
	lines := make([]LedgerLine, 0, len(keys))
	for k := range keys {
		lines = append(lines, ledgerLine(k, tail, usual))
	}
	slices.SortFunc(lines, func(a, b LedgerLine) int {
		return cmp.Or(cmp.Compare(b.Excess, a.Excess), cmp.Compare(a.Service, b.Service), cmp.Compare(a.What, b.What), cmp.Compare(a.Kind, b.Kind))
	})
	return lines
}

func ledgerLine(k ledgerKey, tail, usual *band) LedgerLine {
	l := LedgerLine{Service: k.service, What: k.what, Kind: k.kind}
	var longTail, longUsual float64 // s an occurrence
	if x := tail.lines[k]; x != nil {
		l.TailTime, l.TailRuns = tail.mean(x.time), x.spans/tail.weight
		longTail = l.TailTime / l.TailRuns
	}
	if x := usual.lines[k]; x != nil {
		l.UsualTime, l.UsualRuns = usual.mean(x.time), x.spans/usual.weight
		longUsual = l.UsualTime / l.UsualRuns
	}
	if l.TailRuns == 0 {
		longTail = longUsual // what did not occur had no other length
	}
	if l.UsualRuns == 0 {
		longUsual = longTail
	}
	l.Excess = l.TailTime - l.UsualTime
	l.Count = (l.TailRuns - l.UsualRuns) * (longTail + longUsual) / 2
	l.Duration = (l.TailRuns + l.UsualRuns) / 2 * (longTail - longUsual)
	return l
}
