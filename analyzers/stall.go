package analyzers

import (
	"cmp"
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// witness is one metric that shows a mechanism: nothing at or below none, all
// of it from full on. full below none means that less is worse.
type witness struct {
	finds      Kind
	unit       string
	series     []*evidence.Series
	times      []int64
	values     []float64
	lag        int64 // ms by which values come after what they tell of
	none, full float64
	text       func(value float64) string
	// bounded cannot be above full: a mean that is full was full all of its time.
	bounded bool
	// support alone shows nothing: the mechanism is not measured by it.
	support bool
}

// witnessOf adds the series of a witness up; nil where there is none.
func witnessOf(series []*evidence.Series, w witness) *witness {
	if len(series) == 0 {
		return nil
	}
	w.series, w.lag = series, lagOf(series)
	w.times, w.values = sumSeries(series)
	if len(w.values) == 0 {
		return nil
	}
	return &w
}

// over divides a witness by other series, point by point; points without a
// divisor go. nil where none is left: absent is not zero.
func (w *witness) over(divisors []*evidence.Series) *witness {
	if w == nil || len(divisors) == 0 {
		return nil
	}
	at, by := sumSeries(divisors)
	out := *w
	out.times, out.values = make([]int64, 0, len(w.times)), make([]float64, 0, len(w.times))
	for i, d := range alignTo(w.times, at, by) {
		if d > 0 {
			out.times, out.values = append(out.times, w.times[i]), append(out.values, w.values[i]/d)
		}
	}
	if len(out.values) == 0 {
		return nil
	}
	return &out
}

// ramp is how strongly a value shows the mechanism, 0..1.
func (w *witness) ramp(v float64) float64 { return clamp01((v - w.none) / (w.full - w.none)) }

func (w *witness) ref() evidence.Ref {
	return evidence.Ref{Source: "prometheus", Query: w.series[0].Query}
}

// stall is a mechanism that makes requests wait, as its witnesses show it.
type stall struct {
	finds     Kind // its value is how strongly it was present while requests were slow, 0..1
	entity    evidence.Entity
	service   string // whose latency it should move with; "" is any
	witnesses []*witness
	stalled   stalled // nil: what waits for it cannot be told
	shared    bool    // all that runs there is stretched alike
	before    bool    // it lies before the service's own measurement begins, so that others' latency shows it
	account   account // of what it takes, where the contrast with times without it does not tell; nil: none
	text      string  // what was the matter
	facts     map[string]string
	// idle is the sentence where it was measured and was not there, for rules
	// that its presence would contradict; "" says nothing.
	idle string
}

// account is a measure of its own of what a mechanism costs requests.
type account func(*Pass) (*Impact, []evidence.Entity)

// overlap is the finding of a mechanism that moves with the latency.
func overlap(k Kind) Kind { return k + ".overlap" }

// reportStall reports a mechanism that is present at all, with each of its
// witnesses, how it moves with the latency, and what the requests that ran
// while it was present would gain without it.
func (p *Pass) reportStall(s stall) {
	s.witnesses = slices.DeleteFunc(s.witnesses, func(w *witness) bool { return w == nil })
	pr := s.presence()
	if len(pr.times) == 0 {
		return
	}
	felt := s.service
	if s.before {
		felt = ""
	}
	strength := p.loadedMean(felt, pr.times, pr.values)
	if strength < 0.02 {
		if s.idle != "" {
			p.Report(Finding{Kind: s.finds, Entity: s.entity, Value: strength, Unit: "1", Text: s.idle})
		}
		return
	}
	f := Finding{Kind: s.finds, Entity: s.entity, Value: strength, Unit: "1", Text: s.text + ": strength " + decimals(strength, 2) + " of 1", Facts: s.facts}
	for _, w := range s.witnesses {
		value := p.loadedMean(felt, w.times, w.values)
		chart := Chart{Title: w.text(value), Unit: w.unit, Lines: []Line{{Name: s.entity.String(), Times: w.times, Values: w.values}}}
		f.Refs, f.Charts = append(f.Refs, w.ref()), append(f.Charts, chart)
		p.Report(Finding{Kind: w.finds, Entity: s.entity, Value: value, Unit: w.unit, Text: w.text(value), Refs: []evidence.Ref{w.ref()}})
	}
	f.Impact, f.Victims = p.stallImpact(s, pr)
	if s.account != nil {
		if i, hurt := s.account(p); i != nil && p.better(i, f.Impact, s.before) {
			f.Impact, f.Victims = i, hurt
		}
	}
	p.Report(f)
	r := p.latencyCorrelation(felt, pr.times, pr.values)
	p.Report(Finding{Kind: overlap(s.finds), Entity: s.entity, Value: math.Max(r, 0), Unit: "1", Refs: f.Refs,
		Text: "it and the p95 of " + cmp.Or(felt, "the operations") + " move together (rank correlation " + decimals(r, 2) + ")"})
}

// better says whether an account of its own tells more of a mechanism than the
// contrast of times does: where that gives nothing, or with traces no more than
// a bound. Before a service's own measurement begins, or without traces, both
// may miss what is slowed, and the larger counts.
func (p *Pass) better(own, contrast *Impact, before bool) bool {
	switch {
	case contrast == nil:
		return true
	case before || len(p.Facts.Traces) == 0:
		return own.Saved() > contrast.Saved() || contrast.AtMost && len(p.Facts.Traces) > 0
	}
	return contrast.AtMost
}

// presence of a mechanism: the strongest of its witnesses at each time.
func (s *stall) presence() presence {
	shows := slices.DeleteFunc(slices.Clone(s.witnesses), func(w *witness) bool { return w.support })
	out := presence{full: 1}
	for _, w := range shows {
		out.lag, out.times = max(out.lag, w.lag), unionOfTimes(out.times, w.times)
	}
	out.values = make([]float64, len(out.times))
	for _, w := range shows {
		strongest(out.values, alignTo(out.times, w.times, w.values), w.ramp)
	}
	if slices.ContainsFunc(shows, func(w *witness) bool { return w.bounded }) {
		out.wide = make([]float64, len(out.times))
		for _, w := range shows {
			strongest(out.wide, alignTo(out.times, w.times, w.widened()), w.ramp)
		}
	}
	return out
}

// unionOfTimes may be one of the two: it is not to be written to.
func unionOfTimes(a, b []int64) []int64 {
	if len(a) == 0 || slices.Equal(a, b) {
		return b
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// strongest raises each of some strengths to what a value shows.
func strongest(to, values []float64, ramp func(float64) float64) {
	for i, v := range values {
		to[i] = max(to[i], ramp(v))
	}
}

// widened are the values of a witness, each the greatest of those that take in
// the middle of its time, where that says what this one hides.
func (w *witness) widened() []float64 {
	if !w.bounded || w.lag == 0 {
		return w.values
	}
	out := make([]float64, len(w.values))
	from := 0
	for i, t := range w.times {
		for w.times[from] < t-w.lag {
			from++
		}
		for k := from; k < len(w.times) && w.times[k] <= t+w.lag; k++ {
			out[i] = max(out[i], w.values[k])
		}
	}
	return out
}

// stallImpact takes out of the traces what the stalled spans took beyond
// their need while the mechanism was present. Without traces, what p95 rose
// above its baseline is the most that can be gained.
func (p *Pass) stallImpact(s stall, pr presence) (*Impact, []evidence.Entity) {
	if s.stalled == nil {
		return nil, nil
	}
	ex := excessOf(p, s.stalled, pr)
	exact := ex.contrasted(p)
	if s.shared {
		ex.common(p)
	}
	i, hurt := p.predictWorst(p.Facts.tracesWhere(ex.touches), ex.cuts)
	if i, hurt = p.orRough(i, hurt, rough{service: s.service, saved: aboveBaseline, method: "p95 above that of the low-load stage"}); i != nil && (!exact || len(p.Facts.Traces) == 0) {
		i.limit()
	}
	return i, hurt
}
