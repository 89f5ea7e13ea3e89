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
	Tail      int             `json:"tail_requests"`
	Typical   int             `json:"typical_requests"`
	Threshold float64         `json:"threshold_s"` // duration from which a request is in the tail
	TailTime  float64         `json:"tail_s"`      // mean of the tail
	UsualTime float64         `json:"typical_s"`   // mean of the typical
	Excess    float64         `json:"excess_s"`    // TailTime - UsualTime
	Lines     []LedgerLine    `json:"lines"`       // largest excess first
}

// LedgerLine is one thing that held up requests. Excess is Count + Duration,
// by the decomposition of Kitagawa (1955): how much of it comes from more
// occurrences, how much from longer ones. Low and High are the 95 % interval
// of the excess over resampled traces, tail and middle re-taken each time.
type LedgerLine struct {
	Service   string  `json:"service"`
	What      string  `json:"what"` // operation, or statement or callee of a call
	Kind      string  `json:"kind"` // self, database, cache, call, messaging, driver (connecting, acquiring, transactions)
	TailTime  float64 `json:"tail_s"`
	UsualTime float64 `json:"typical_s"`
	Excess    float64 `json:"excess_s"`
	Low       float64 `json:"excess_low_s"`
	High      float64 `json:"excess_high_s"`
	Count     float64 `json:"count_effect_s"`
	Duration  float64 `json:"duration_effect_s"`
	TailRuns  float64 `json:"tail_occurrences"` // on the path, mean a request
	UsualRuns float64 `json:"typical_occurrences"`
}

// ledgerKey is what a line is about.
type ledgerKey struct{ service, what, kind string }

// pathTime is what one thing held up one request: ns, in how many spans.
type pathTime struct {
	line  int32
	spans int32
	ns    int64
}

// ledgerBook is the requests of an operation with their paths split: by
// request, what it waited for.
type ledgerBook struct {
	sample *requestSample
	keys   []ledgerKey
	lines  map[ledgerKey]int32
	paths  [][]pathTime
}

// bands are the durations that bound the typical requests and the tail, in
// ns.
type bands struct{ from, to, tail int64 }

// band is a weighted sum over some requests.
type band struct {
	requests int
	weight   float64
	total    float64 // ns
	lines    []bandLine
}

type bandLine struct{ time, spans float64 }

// LedgerOf splits the tail's excess of an operation, or gives nil where the
// sample is too small to have a tail and a middle.
func LedgerOf(traces []*Trace, target evidence.Entity) *Ledger {
	return newSample(traces, target).ledger()
}

func (s *requestSample) ledger() *Ledger {
	if len(s.traces) < fewestTraces {
		return nil
	}
	book := s.book()
	at := book.bands(recorded)
	usual, tail := book.sums(at, recorded)
	if tail.requests < fewestOfBand || usual.requests < fewestOfBand {
		return nil
	}
	l := &Ledger{Target: s.target, Traces: len(s.traces), Tail: tail.requests, Typical: usual.requests, Threshold: seconds(at.tail),
		TailTime: tail.mean(tail.total), UsualTime: usual.mean(usual.total)}
	l.Excess = l.TailTime - l.UsualTime
	l.Lines = book.lineList(&tail, &usual)
	return l
}

// book splits every request that some resample may put into a band: all of
// them, since a resample moves the bands.
func (s *requestSample) book() *ledgerBook {
	b := &ledgerBook{sample: s, lines: map[ledgerKey]int32{}, paths: make([][]pathTime, len(s.requests))}
	for k, r := range s.requests {
		b.paths[k] = b.split(s.traces[r.trace], r.span)
	}
	return b
}

// bands of a resample.
func (b *ledgerBook) bands(rep int) bands {
	o := ordered{b.sample.durations, b.sample.byDuration}
	return bands{b.sample.percentile(o, typicalFrom, rep), b.sample.percentile(o, typicalTo, rep), b.sample.percentile(o, tracedTail, rep)}
}

// sums of the typical requests and of the tail in a resample.
func (b *ledgerBook) sums(at bands, rep int) (usual, tail band) {
	usual.lines, tail.lines = make([]bandLine, len(b.keys)), make([]bandLine, len(b.keys))
	for k, d := range b.sample.durations {
		switch {
		case d >= at.tail:
			tail.add(d, b.sample.weightOf(int32(k), rep), b.paths[k])
		case d >= at.from && d <= at.to:
			usual.add(d, b.sample.weightOf(int32(k), rep), b.paths[k])
		}
	}
	return usual, tail
}

func (b *band) add(duration int64, weight float64, path []pathTime) {
	b.requests++
	b.weight += weight
	b.total += weight * float64(duration)
	for _, x := range path {
		b.lines[x.line].time += weight * float64(x.ns)
		b.lines[x.line].spans += weight * float64(x.spans)
	}
}

// mean of a weighted sum in ns, in s a request; 0 where no request was drawn.
func (b *band) mean(sum float64) float64 { return per(sum, b.weight) / 1e9 }

// split says what a request's critical path was spent on.
func (b *ledgerBook) split(t *Trace, request int32) []pathTime {
	var out []pathTime
	path := t.PathOf(request)
	slices.SortFunc(path, func(x, y Segment) int { return cmp.Or(cmp.Compare(x.Span, y.Span), cmp.Compare(x.Start, y.Start)) })
	for k, g := range path {
		line := b.line(t.ledgerKey(g.Span))
		at := slices.IndexFunc(out, func(x pathTime) bool { return x.line == line })
		if at < 0 {
			at = len(out)
			out = append(out, pathTime{line: line})
		}
		out[at].ns += g.End - g.Start
		if k == 0 || path[k-1].Span != g.Span {
			out[at].spans++
		}
	}
	return out
}

func (b *ledgerBook) line(k ledgerKey) int32 {
	n, ok := b.lines[k]
	if !ok {
		n = int32(len(b.keys))
		b.lines[k] = n
		b.keys = append(b.keys, k)
	}
	return n
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

// lineList are the lines with their intervals, the largest excess first.
func (b *ledgerBook) lineList(tail, usual *band) []LedgerLine {
	var lines []LedgerLine
	for k, excesses := range b.resampled() {
		if tail.lines[k].spans == 0 && usual.lines[k].spans == 0 {
			continue
		}
		l := ledgerLine(b.keys[k], tail, usual, tail.lines[k], usual.lines[k])
		l.Low, l.High = middle95(excesses)
		l.Low, l.High = min(l.Low, l.Excess), max(l.High, l.Excess)
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b LedgerLine) int {
		return cmp.Or(cmp.Compare(b.Excess, a.Excess), cmp.Compare(a.Service, b.Service), cmp.Compare(a.What, b.What), cmp.Compare(a.Kind, b.Kind))
	})
	return lines
}

// resampled gives every line's excess in every resample, in s.
func (b *ledgerBook) resampled() [][]float64 {
	out := make([][]float64, len(b.keys))
	for k := range out {
		out[k] = make([]float64, resamples)
	}
	for rep := range resamples {
		usual, tail := b.sums(b.bands(rep), rep)
		for k := range out {
			out[k][rep] = tail.mean(tail.lines[k].time) - usual.mean(usual.lines[k].time)
		}
	}
	return out
}

func ledgerLine(k ledgerKey, tail, usual *band, inTail, inUsual bandLine) LedgerLine {
	l := LedgerLine{Service: k.service, What: k.what, Kind: k.kind, TailTime: tail.mean(inTail.time), UsualTime: usual.mean(inUsual.time),
		TailRuns: per(inTail.spans, tail.weight), UsualRuns: per(inUsual.spans, usual.weight)}
	longTail, longUsual := per(l.TailTime, l.TailRuns), per(l.UsualTime, l.UsualRuns) // s an occurrence
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
