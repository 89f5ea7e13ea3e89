package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// FindChange is the share of the variance of an operation's p95 that the
	// time after a change, or during it, explains: 0..1.
	FindChange Kind = "change.followed"
	// FindChangeElse is how much more of it another moment explains, 0..1.
	FindChangeElse = FindChange + ".elsewhere"
	// FindChangeLoad is the operation's rate then / its rate otherwise.
	FindChangeLoad = FindChange + ".load"

	// FindChaos and its kin are the same of an experiment.
	FindChaos     Kind = "chaos.followed"
	FindChaosElse      = FindChaos + ".elsewhere"
	FindChaosLoad      = FindChaos + ".load"
)

// changeShifts are the bins by which what a change does may come later than
// it, and one by which the bin that it falls into may come before it: two sample
// intervals are never told apart (see Onset), and a rate looks back for longer.
var changeShifts = []int{-1, 0, 1, 2}

// longestName in characters of a change that is called by its text.
const longestName = 80

// changes measures whether what was done to the system while it ran is what
// made it slow: whether requests took longer from then on, or as long as it
// lasted, more than from any other moment on, and which of them pass through
// what was changed.
var changes = Analyzer{
	Name: "changes",
	Doc: "Events of the window (given, chaos experiments, deployments) against the latency of the requests that pass through what they touch: the share of the p95's variance that the event's time explains, " +
		"what other moments explain, and whether the load changed at once; the gain by bringing what was touched to what it took at other times.",
	Uses:  []evidence.Kind{evidence.ChaosActive, evidence.ChaosInjected, evidence.Generation, evidence.ReplicasDesired, evidence.Spans},
	Finds: []Kind{FindChange, FindChangeElse, FindChangeLoad, FindChaos, FindChaosElse, FindChaosLoad},
	Run:   runChanges,
}

func runChanges(p *Pass) error {
	best := map[evidence.Entity]*change{}
	var order []evidence.Entity
	for _, e := range firstEvents(changesOf(p.Bundle)) {
		c := p.change(e)
		if c == nil {
			continue
		}
		if had := best[c.subject]; had == nil {
			order = append(order, c.subject)
		} else if had.agrees() >= c.agrees() {
			continue
		}
		best[c.subject] = c
	}
	for _, e := range order {
		best[e].report(p)
	}
	return nil
}

// change is an event of the window and what followed it.
type change struct {
	evidence.Event
	subject evidence.Entity
	course  *Line    // 1 while it lasts
	follows *follows // nil: too near to an end of the window to tell
	impact  *Impact
	victims []evidence.Entity
}

// change weighs an event; nil where it did not begin inside the window.
func (p *Pass) change(e evidence.Event) *change {
	if !p.Bundle.Window.Contains(e.At) {
		return nil
	}
	c := &change{Event: e, subject: e.Entity, course: courseOf(e, p.Bundle.Window)}
	c.subject.Resource = cmp.Or(e.Entity.Resource, shorten(e.Text, longestName))
	if len(p.Facts.Traces) > 0 {
		c.byTraces(p)
	} else {
		c.byLatency(p)
	}
	return c
}

// courseOf an event is a line that is 1 while it lasts: to the end of the
// window where it has no end.
func courseOf(e evidence.Event, w evidence.Window) *Line {
	l := &Line{Name: e.Text, Times: []int64{w.Start.UnixMilli(), e.At}, Values: []float64{0, 1}}
	if end := w.End.UnixMilli(); e.End > e.At && e.End < end {
		l.Times, l.Values = append(l.Times, e.End, end), append(l.Values, 0, 0)
	} else {
		l.Times, l.Values = append(l.Times, end), append(l.Values, 1)
	}
	return l
}

// byTraces takes out of the traces what the spans that the change touches took
// beyond their need, and holds the operation that gains most against it.
func (c *change) byTraces(p *Pass) {
	touched := p.spansAt(c.Entity)
	if touched == nil {
		touched = everySpan
	}
	ex := excessOf(p, touched, presence{times: c.course.Times, values: c.course.Values, full: 1})
	exact := ex.contrasted(p)
	c.impact, c.victims = p.predictWorst(p.Facts.tracesWhere(ex.touches), ex.cuts)
	if c.impact == nil {
		return
	}
	if !exact {
		c.impact.limit()
	}
	if s := p.Facts.Symptom(c.impact.Operation.Service, c.impact.Operation.Operation); s != nil {
		c.follows = followsOf(s, c.Event)
	}
}

// byLatency compares, where no trace tells what passes through what was
// changed, the operations of its service, or all where none is named, with
// themselves at other times.
func (c *change) byLatency(p *Pass) {
	for i := range p.Facts.Symptoms {
		s := &p.Facts.Symptoms[i]
		if s.Requests < minRequests || c.Entity.Service != "" && s.Entity.Service != c.Entity.Service && s.Source != fromClient {
			continue
		}
		f := followsOf(s, c.Event)
		if f == nil {
			continue
		}
		if i := f.impact(s); c.impact == nil || i.Saved()*f.share > c.impact.Saved()*c.follows.share {
			c.follows, c.impact, c.victims = f, i, []evidence.Entity{s.Entity}
		}
	}
}

func (c *change) agrees() float64 {
	if c.follows == nil {
		return -1
	}
	return c.follows.share - c.follows.elsewhere
}

func (c *change) report(p *Pass) {
	finds := FindChange
	if c.Kind == eventChaos {
		finds = FindChaos
	}
	f := Finding{Kind: finds, Entity: c.subject, Unit: "1", Victims: c.victims, Impact: c.impact,
		Facts:  map[string]string{"what": c.Text, "kind": c.Kind, "service": c.Entity.Service},
		Charts: []Chart{{Title: c.Text, Unit: "1", Lines: []Line{*c.course}}}}
	if c.follows == nil {
		f.Impact = nil
		f.Text = c.Text + ": no operation that passes through it is known for long enough before and after it to tell"
		p.Report(f)
		return
	}
	s := c.follows.of
	f.Value, f.Onset = c.follows.share, &Onset{At: c.At, Tolerance: s.Step}
	f.Text = fmt.Sprintf("%s: %s of how the p95 of %s varied is that it took %s then and %s otherwise", c.Text, percent(f.Value), s.Entity, duration(c.follows.during), duration(c.follows.otherwise))
	p.Report(f)
	p.Report(Finding{Kind: finds + ".elsewhere", Entity: c.subject, Value: c.follows.elsewhere, Unit: "1", Text: c.follows.elsewhereText()})
	p.Report(Finding{Kind: finds + ".load", Entity: c.subject, Value: c.follows.load, Unit: "1",
		Text: fmt.Sprintf("%s was asked %s times as often then as otherwise", s.Entity, decimals(c.follows.load, 2))})
}

// follows is how an operation's p95 follows an event.
type follows struct {
	of                *Symptom
	share             float64 // of the variance of its p95 that the event's time explains
	elsewhere         float64 // how much more another time explains, or a steady rise
	load              float64 // its rate then / otherwise
	during, otherwise float64 // s, median p95
	outside           []float64
}

func (f *follows) elsewhereText() string {
	if f.elsewhere <= 0 {
		return "no other moment explains more"
	}
	return percent(f.elsewhere) + " more is explained by another moment, or by a steady rise"
}

// followsOf an operation's bins; nil where there are too few in the event's time
// or beside it.
func followsOf(s *Symptom, e evidence.Event) *follows {
	c := coursesOf(s)
	n := len(c.p95)
	from := c.first(e.At)
	to := n
	if e.End > e.At {
		to = c.first(e.End)
	}
	at, until, share := 0, 0, math.Inf(-1)
	for _, k := range changeShifts {
		for _, l := range changeShifts {
			if to == n {
				l = 0
			}
			if x, ok := c.explains(from+k, min(to+l, n)); ok && x > share {
				at, until, share = from+k, min(to+l, n), x
			}
		}
	}
	if math.IsInf(share, -1) {
		return nil
	}
	inside, outside := c.split(c.p95, at, until)
	rateIn, rateOut := c.split(c.rates, at, until)
	return &follows{of: s, share: max(share, 0), elsewhere: max(0, c.best(to-from, to == n)-max(share, 0)), load: per(mean(rateIn), mean(rateOut)),
		during: quantile(inside, 0.5), otherwise: quantile(outside, 0.5), outside: outside}
}

// courses of an operation over the bins in which it was seen.
type courses struct {
	middle     []int64 // Unix ms
	p95, rates []float64
}

func coursesOf(s *Symptom) *courses {
	c := &courses{}
	for i, t := range s.Times {
		if s.P95s[i] > 0 {
			c.middle, c.p95, c.rates = append(c.middle, t+s.Step/2), append(c.p95, s.P95s[i]), append(c.rates, s.Rates[i])
		}
	}
	return c
}

// first bin whose middle lies at a time (Unix ms) or after it.
func (c *courses) first(at int64) int {
	i, _ := slices.BinarySearch(c.middle, at)
	return i
}

// split gives what lies in some bins, and what lies beside them.
func (c *courses) split(values []float64, from, to int) (in, out []float64) {
	return values[from:to], slices.Concat(values[:from], values[to:])
}

// explains is the share of the variance of the p95 that a higher level in some
// bins accounts for, negative where it is lower; false where they, or those
// before them, are too few.
func (c *courses) explains(from, to int) (float64, bool) {
	if from < shiftPoints || to-from < shiftPoints || to > len(c.p95) {
		return 0, false
	}
	in, out := c.split(c.p95, from, to)
	all, variance := mean(c.p95), 0.0
	for _, v := range c.p95 {
		variance += (v - all) * (v - all)
	}
	if variance == 0 {
		return 0, true
	}
	step := mean(in) - mean(out)
	gain := float64(len(in)) * float64(len(out)) / float64(len(c.p95)) * step * math.Abs(step)
	return gain / variance, true
}

// best is the most that a rise at any moment explains, or one for as many bins
// as given, or a straight line.
func (c *courses) best(width int, open bool) float64 {
	most, n := 0.0, len(c.p95)
	for from := range n {
		if x, ok := c.explains(from, n); ok {
			most = max(most, x)
		}
		for _, k := range changeShifts {
			if x, ok := c.explains(from, from+width+k); ok && !open {
				most = max(most, x)
			}
		}
	}
	if _, slope, fit := line(c.middle, c.p95); slope > 0 && open {
		most = max(most, fit)
	}
	return most
}

// impact is what the operation's p95 would be had it been as at other times, by
// resampling them.
func (f *follows) impact(s *Symptom) *Impact {
	random := rand.New(rand.NewPCG(seedOf(s.Entity), uint64(len(f.outside))))
	then := make([]float64, resamples)
	drawn := make([]float64, len(f.outside))
	for k := range then {
		for i := range drawn {
			drawn[i] = f.outside[random.IntN(len(f.outside))]
		}
		then[k] = quantile(drawn, 0.5)
	}
	low, high := middle95(then)
	return &Impact{Operation: s.Entity, Percentile: tracedTail, Now: s.P95, Then: min(f.otherwise, s.P95), Low: max(0, s.P95-high), High: max(0, s.P95-low),
		Method: "p95 at other times than the event's"}
}
