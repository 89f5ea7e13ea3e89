package analyzers

import (
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// presence is how strongly a mechanism was there over time: none at or below
// none, in full from full on, linear between.
type presence struct {
	times      []int64 // Unix ms
	values     []float64
	none, full float64
	lag        int64     // ms by which values come after what they tell of
	wide       []float64 // by time, where it tells more than the value; nil: nowhere
}

// at a time (Unix ms), 0..1.
func (pr *presence) at(ms int64) float64 {
	values := pr.values
	if pr.wide != nil {
		values = pr.wide
	}
	return clamp01((valueAt(pr.times, values, ms+pr.lag) - pr.none) / (pr.full - pr.none))
}

// away reports whether the mechanism was nowhere in the values that tell of a
// time (Unix ms): a rate takes in what came shortly before and after, too.
func (pr *presence) away(ms int64) bool {
	k := max(sort.Search(len(pr.times), func(i int) bool { return pr.times[i] > ms })-1, 0)
	for ; k < len(pr.times) && pr.times[k] <= ms+2*pr.lag; k++ {
		if pr.values[k] > pr.none {
			return false
		}
	}
	return true
}

// lagOf series, in ms: a rate is the mean over a time that ends with it, and
// so tells of the middle of that time.
func lagOf(series []*evidence.Series) int64 {
	over := 0.0
	for _, s := range series {
		over = max(over, s.Over)
	}
	return int64(over * 1000 / 2)
}

// during the time that a span ran, on average, 0..1: one that waits for long
// may have begun before the mechanism was seen.
func (pr *presence) during(s *evidence.Span) float64 {
	from, to := s.Start/1e6, s.End/1e6
	sum, n := pr.at(from), 1.0
	first, _ := slices.BinarySearch(pr.times, from+1)
	for i := first; i < len(pr.times) && pr.times[i] <= to; i++ {
		sum, n = sum+pr.at(pr.times[i]), n+1
	}
	return sum / n
}

// stalled marks the spans of a trace that stand still while a mechanism is
// present.
type stalled func(*Trace) []bool

// excess holds what each kind of span needs when a mechanism does not stall
// it, and how much of what it took beyond is laid to the mechanism.
type excess struct {
	stalled stalled
	presence
	need map[string]float64 // by span fingerprint: own time in ns without stalls
	most float64            // longest excess that is laid to the mechanism, in needs,
	wait float64            // or in ns, whichever is longer
}

// excessOf takes the fastest tenth of each span's own time as its need: those
// requests met no stall. A service stalled in every request has no such
// tenth, so that the prediction is then too small, never too large.
func excessOf(p *Pass, who stalled, pr presence) *excess {
	ex := &excess{stalled: who, presence: pr, need: map[string]float64{}, most: math.Inf(1)}
	for k, v := range ex.ownTimes(p, func(*evidence.Span) bool { return true }) {
		if len(v) >= 10 {
			ex.need[k] = quantile(v, 0.1)
		}
	}
	return ex
}

// ownTimes of the stalled spans, in ns, by fingerprint.
func (ex *excess) ownTimes(p *Pass, when func(*evidence.Span) bool) map[string][]float64 {
	own := map[string][]float64{}
	for _, t := range p.Facts.Traces {
		hit := ex.stalled(t)
		for i := range t.Spans {
			if s := &t.Spans[i]; hit[i] && when(s) {
				k := spanFingerprint(s)
				own[k] = append(own[k], float64(t.SelfTime(int32(i))))
			}
		}
	}
	return own
}

// spanFingerprint groups spans that do the same.
func spanFingerprint(s *evidence.Span) string {
	return strconv.Itoa(int(s.Kind)) + "\x00" + s.Service + "\x00" + s.Name + "\x00" + s.Attr(evidence.AttrDBKey)
}

// cuts takes a span's own time beyond its need, to the degree that the
// mechanism was present when the request ran.
func (ex *excess) cuts(t *Trace) Cuts {
	c := t.NewCuts()
	hit := ex.stalled(t)
	for i := range t.Spans {
		need, ok := ex.need[spanFingerprint(&t.Spans[i])]
		if !hit[i] || !ok {
			continue
		}
		over := math.Min(float64(t.SelfTime(int32(i)))-need, math.Max(ex.most*need, ex.wait))
		t.CutSelf(c, int32(i), int64(math.Max(0, over)*ex.during(&t.Spans[i])))
	}
	return c
}

// share of a service's own time in all traces that the cuts take.
func (ex *excess) share(p *Pass, service string) float64 {
	var cut, own float64
	for _, t := range p.Facts.Traces {
		c := ex.cuts(t)
		for i := range t.Spans {
			if t.Spans[i].Service == service {
				cut, own = cut+float64(c[i]), own+float64(t.SelfTime(int32(i)))
			}
		}
	}
	return per(cut, own)
}

// touches reports whether a trace has a span that the mechanism stalls.
func (ex *excess) touches(t *Trace) bool {
	return slices.Contains(ex.stalled(t), true)
}

// spansOf a service, and the calls into it: they too wait for it, until it
// accepts the call.
func spansOf(service string) stalled {
	return func(t *Trace) []bool {
		hit := t.callsInto(service)
		for i := range t.Spans {
			hit[i] = hit[i] || t.Spans[i].Service == service
		}
		return hit
	}
}

// spansOnInstance are the spans of one replica, and the calls into it.
func spansOnInstance(service, instance string) stalled {
	return func(t *Trace) []bool {
		hit := make([]bool, len(t.Spans))
		for i := range t.Spans {
			if t.Spans[i].Service != service || t.Spans[i].Instance != instance {
				continue
			}
			hit[i] = true
			if up := t.Parent[i]; up >= 0 && t.Spans[up].Kind == evidence.KindClient {
				hit[up] = true
			}
		}
		return hit
	}
}

// everySpan stands still: the whole node does.
func everySpan(t *Trace) []bool {
	hit := make([]bool, len(t.Spans))
	for i := range hit {
		hit[i] = true
	}
	return hit
}

// databaseCalls are the client spans of databases that are no cache.
func databaseCalls(t *Trace) []bool {
	hit := make([]bool, len(t.Spans))
	for i := range t.Spans {
		hit[i] = isDatabaseCall(&t.Spans[i])
	}
	return hit
}

func isDatabaseCall(s *evidence.Span) bool {
	return s.Kind == evidence.KindClient && s.Attr(evidence.AttrDBSystem) != "" && !isCacheSystem(s.Attr(evidence.AttrDBSystem))
}

// databaseCallers are the database calls and the spans that make them: a driver
// that has to wait for a connection, or to ask for one again and again, does so
// before its call begins, and most leave no span of that.
func databaseCallers(t *Trace) []bool {
	calls := databaseCalls(t)
	hit := slices.Clone(calls)
	for i, call := range calls {
		if up := t.Parent[i]; call && up >= 0 {
			hit[up] = true
		}
	}
	return hit
}

// callsInto marks the client spans that have a server span of a service below:
// they too wait for its CPU, until it accepts the call.
func (t *Trace) callsInto(service string) []bool {
	calls := make([]bool, len(t.Spans))
	for i := range t.Spans {
		if parent := t.Parent[i]; parent >= 0 && t.Spans[i].Service == service && t.Spans[parent].Kind == evidence.KindClient {
			calls[parent] = true
		}
	}
	return calls
}

const (
	// quietSpans: so many spans of a kind, run while the mechanism was away,
	// that their slowest tenth is known.
	quietSpans = 20
	// quietNeed: what nine tenths of the quiet ones keep within is no excess.
	quietNeed = 0.9
)

// contrasted replaces the need of a kind of span by what nine tenths of its
// spans keep within while the mechanism is away, where there are enough of
// them: what is spread by nature is then no excess. It reports whether most
// kinds have such a need; where they do not, the excess is an upper bound.
func (ex *excess) contrasted(p *Pass) bool {
	known := 0
	quiet := ex.ownTimes(p, func(s *evidence.Span) bool { return ex.away(s.Start/1e6) && ex.during(s) == 0 })
	for k := range ex.need {
		if v := quiet[k]; len(v) >= quietSpans {
			ex.need[k] = quantile(v, quietNeed)
			known++
		}
	}
	return 2*known > len(ex.need)
}

// stretchedAlike is the share of the kinds of spans that must be stretched so far for a
// whole machine to be the reason. It is not half of them: many do next to
// nothing of their own between two calls, and so meet nothing.
const stretchedAlike = 0.25

// common limits what is laid to the mechanism to the stretch that many kinds of
// spans share, or to the wait that they share: work takes longer by a factor
// where it has less of a machine, and by a wait wherever it must first get its
// turn. A wait of one kind of span, for a lock or a connection, is another
// mechanism's.
func (ex *excess) common(p *Pass) {
	var stretch, wait []float64
	hit := ex.ownTimes(p, func(s *evidence.Span) bool { return ex.at(s.Start/1e6) >= 0.5 })
	for k, need := range ex.need {
		if v := hit[k]; len(v) >= 10 && need > 0 {
			over := math.Max(0, quantile(v, 0.9)-need)
			stretch, wait = append(stretch, over/need), append(wait, over)
		}
	}
	ex.most, ex.wait = 0, 0
	if len(stretch) > 0 {
		ex.most, ex.wait = quantile(stretch, 1-stretchedAlike), quantile(wait, 1-stretchedAlike)
	}
}

// spansAt are the spans of an entity's replica, where traces name their
// instances as the metrics do, and else of its service; nil without a service.
func (p *Pass) spansAt(e evidence.Entity) stalled {
	if e.Service == "" {
		return nil
	}
	for _, t := range p.Facts.Traces {
		for i := range t.Spans {
			if e.Instance != "" && t.Spans[i].Service == e.Service && t.Spans[i].Instance == e.Instance {
				return spansOnInstance(e.Service, e.Instance)
			}
		}
	}
	return spansOf(e.Service)
}
