package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Facts are what every analyzer starts from: how each operation did, and the
// traces cleaned and indexed. Computed once, read-only.
type Facts struct {
	Symptoms []Symptom        // operations under load, by time spent in them
	Slow     []Symptom        // those of Symptoms that are slow, worst first, then those that were for a spell
	Traces   []*Trace         `json:"-"`
	Stages   []evidence.Stage // of the load, from its rate; nil where it shows none
	Events   []evidence.Event // given, and starts and restarts that were seen

	weighed []string // what was done to the weights of traces
	index   traceIndex
	slow    map[string]*slowTimes // by service; "" is all of them
}

// Symptom is how an operation did in the window.
type Symptom struct {
	Entity       evidence.Entity `json:"entity"` // service and operation
	RPS          float64         `json:"rps"`
	ErrorRatio   float64         `json:"error_ratio"`
	Requests     float64         `json:"requests"` // observed in the window
	P50          float64         `json:"p50_s"`
	P95          float64         `json:"p95_s"`
	P99          float64         `json:"p99_s"`
	P95Low       float64         `json:"p95_low_s"`      // bounds of the bucket P95 fell into
	P95High      float64         `json:"p95_high_s"`     // 0 when unbounded: P95 means "at least"
	BaselineP95  float64         `json:"baseline_p95_s"` // 0: none
	BaselineNote string          `json:"baseline_note,omitempty"`
	Slow         bool            `json:"slow"`
	Why          string          `json:"why,omitempty"` // what makes it a symptom
	Source       string          `json:"source"`        // histograms, traces, load or statements
	Times        []int64         `json:"t,omitempty"`   // Unix ms, starts of the bins
	Step         int64           `json:"step_ms,omitempty"`
	P95s         []float64       `json:"p95s,omitempty"`  // per bin; 0 where nothing was seen
	Rates        []float64       `json:"rates,omitempty"` // requests per s, per bin
	SlowBins     []bool          `json:"slow_bins,omitempty"`
	Onset        *Onset          `json:"onset,omitempty"` // when p95 rose, where it shows a step
	Spell        *Spell          `json:"spell,omitempty"` // a stretch that is slow; nil where all of it is, or none
	Refs         []evidence.Ref  `json:"refs,omitempty"`
	againstRun   bool            // BaselineP95 is of a run that was named as healthy
}

// What makes an operation slow where no objective was given. A user's
// objective replaces them.
const (
	// objectiveP95 is the default objective. Nielsen's limit for an
	// uninterrupted flow of thought (Usability Engineering, 1993) is 1 s.
	objectiveP95 = 1.0
	// degradedRatio and degradedFloor: against the baseline the p95 must at
	// least double and add 20 ms, beyond the error of the buckets.
	degradedRatio = 2.0
	degradedFloor = 0.020
	// minRequests below which a p95 says nothing: 20 / (1 - 0.95).
	minRequests = 20
	// lowLoad: bins below this share of the peak rate are the low-load stage.
	lowLoad = 0.5
	bins    = 30
	// shortestBin in ms: in shorter ones hardly any requests end.
	shortestBin = 2000
)

// factsOf computes the facts of a bundle.
func factsOf(b *evidence.Bundle) *Facts {
	traces := BuildTraces(b)
	weighed := weighByHistograms(b, traces)
	f := factsOfTraces(traces)
	f.weighed = weighed
	f.index.joinCutStatements(b)
	f.Stages, f.Events = stagesOf(b), eventsOf(b)
	for i := range b.Histograms {
		h := &b.Histograms[i]
		if h.Kind == evidence.ServerLatency && h.Entity.Instance == "" {
			f.Symptoms = append(f.Symptoms, symptomOfHistogram(b, h))
		}
	}
	f.Symptoms = append(f.Symptoms, symptomsOfTraces(b, f)...)
	f.Symptoms = slices.DeleteFunc(f.Symptoms, func(s Symptom) bool { return s.Requests < 1 })
	if !measured(f.Symptoms) {
		if others := fallbackSymptoms(b); measured(others) {
			f.Symptoms = others
		}
	}
	slices.SortStableFunc(f.Symptoms, func(x, y Symptom) int {
		return cmp.Or(cmp.Compare(y.RPS*y.P95, x.RPS*x.P95), x.Entity.Compare(y.Entity))
	})
	f.slow = slowTimesOf(f.Symptoms)
	f.addSpells(b)
	f.Slow = slowest(f.Symptoms)
	return f
}

// slowest are those that are slow, worst first; then those that were for a
// spell.
func slowest(symptoms []Symptom) (out []Symptom) {
	for _, s := range symptoms {
		if s.Slow || s.Spell != nil {
			out = append(out, s)
		}
	}
	spell := func(s *Symptom) int {
		if s.Spell == nil {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(x, y Symptom) int {
		return cmp.Or(cmp.Compare(spell(&x), spell(&y)), cmp.Compare(y.inSpell().P95, x.inSpell().P95), x.Entity.Compare(y.Entity))
	})
	return out
}

// Symptom of a service's operation, or nil.
func (f *Facts) Symptom(service, operation string) *Symptom {
	for i := range f.Symptoms {
		if e := f.Symptoms[i].Entity; e.Service == service && e.Operation == operation {
			return &f.Symptoms[i]
		}
	}
	return nil
}

// symptomOfHistogram measures an operation from its latency histogram.
func symptomOfHistogram(b *evidence.Bundle, h *evidence.Histogram) Symptom {
	from, to := b.Window.Start.UnixMilli(), b.Window.End.UnixMilli()+1
	counts := h.Counts(from, to)
	s := Symptom{Entity: h.Entity, Source: "histograms", Requests: sum(counts), Refs: []evidence.Ref{{Source: "prometheus", Query: h.Query}}}
	if s.Requests == 0 {
		return s
	}
	s.RPS = s.Requests / b.Window.Duration().Seconds()
	s.P50, _, _ = evidence.QuantileOf(h.Bounds, counts, 0.50)
	s.P95, s.P95Low, s.P95High = evidence.QuantileOf(h.Bounds, counts, 0.95)
	s.P99, _, _ = evidence.QuantileOf(h.Bounds, counts, 0.99)
	if math.IsInf(s.P95High, 1) {
		s.P95High = 0
	}
	s.ErrorRatio = errorRatio(b, h.Entity)
	s.fillBins(b.Window, sampleStep(h), func(from, to int64) (float64, float64) {
		v, _, _ := h.Quantile(0.95, from, to)
		return v, sum(h.Counts(from, to))
	})
	if !s.baselineFromRun(b) {
		s.baselineFromHistogram(b, h)
	}
	s.judge()
	if !s.Slow && s.Requests >= minRequests {
		if s.Spell = findSpell(b.Window, h); s.Spell != nil {
			s.markSpell()
			s.Why = "p95 " + s.Spell.Text()
		}
	}
	return s
}

// fillBins cuts the window into equal bins and measures each: p95 in s and
// the number of requests. None is shorter than what was measured at once, in
// ms: else some would hold nothing.
func (s *Symptom) fillBins(w evidence.Window, atOnce int64, measure func(from, to int64) (p95, requests float64)) {
	from := w.Start.UnixMilli()
	s.Step = max(w.Duration().Milliseconds()/bins, shortestBin, atOnce)
	for t := from; t < w.End.UnixMilli(); t += s.Step {
		p95, n := measure(t, t+s.Step)
		if math.IsNaN(p95) {
			p95 = 0
		}
		s.Times = append(s.Times, t)
		s.P95s = append(s.P95s, p95)
		s.Rates = append(s.Rates, n/(float64(s.Step)/1000))
	}
}

// lowStage gives the bins of the low-load stage: those before the first bin
// that reaches half of the peak rate.
func (s *Symptom) lowStage() (from, to int64, ok bool) {
	peak := quantile(s.Rates, 0.9)
	for i, r := range s.Rates {
		if r >= lowLoad*peak {
			return s.Times[0], s.Times[i], i > 0
		}
	}
	return 0, 0, false
}

// baselineFromHistogram takes the named baseline, else the low-load stage of
// the run, else none.
func (s *Symptom) baselineFromHistogram(b *evidence.Bundle, h *evidence.Histogram) {
	from, to, ok := s.lowStage()
	note := "low-load stage of the same run"
	if b.Baseline != nil {
		from, to, ok, note = b.Baseline.Start.UnixMilli(), b.Baseline.End.UnixMilli(), true, "the baseline given"
	}
	if !ok || sum(h.Counts(from, to)) < minRequests {
		return
	}
	v, _, hi := h.Quantile(0.95, from, to)
	if math.IsNaN(v) || math.IsInf(hi, 1) {
		return
	}
	s.BaselineP95, s.BaselineNote = v, note
}

// judge says whether the operation is slow and why, and marks its slow bins.
func (s *Symptom) judge() {
	switch {
	case s.Requests < minRequests:
		s.Why = fmt.Sprintf("only %.0f requests: too few for a p95", s.Requests)
		return
	case degraded(s.P95, s.P95Low, s.BaselineP95):
		s.Slow = true
		s.Why = fmt.Sprintf("p95 is %.1f times that of %s", s.P95/s.BaselineP95, s.BaselineNote)
	case s.P95 >= objectiveP95 && !s.againstRun:
		s.Slow = true
		s.Why = "p95 is above 1 s, the objective assumed where none is given"
	}
	s.markSlowBins()
	s.Onset = onsetOf(s.Times, s.P95s, 0)
}

// markSlowBins marks the bins whose p95 lies above the run's typical one: the
// baseline doubled, or half above the median bin.
func (s *Symptom) markSlowBins() {
	seen := make([]float64, 0, len(s.P95s))
	for _, v := range s.P95s {
		if v > 0 {
			seen = append(seen, v)
		}
	}
	limit := 1.5 * quantile(seen, 0.5)
	if s.BaselineP95 > 0 {
		limit = degradedRatio * s.BaselineP95
	}
	s.SlowBins = make([]bool, len(s.P95s))
	for i, v := range s.P95s {
		s.SlowBins[i] = v > 0 && v >= limit
	}
}

// errorRatio of an operation from its request and error rates; 0 where errors
// are not counted.
func errorRatio(b *evidence.Bundle, e evidence.Entity) float64 {
	p := Pass{Bundle: b}
	of := func(o evidence.Entity) bool { return o.Service == e.Service && o.Operation == e.Operation }
	total := func(k evidence.Kind) (t float64) {
		for _, s := range p.seriesOf(k, of) {
			t += mean(s.Values)
		}
		return t
	}
	return clamp01(per(total(evidence.ServerErrors), total(evidence.ServerRequests)))
}

func sum(values []float64) float64 {
	t := 0.0
	for _, v := range values {
		t += v
	}
	return t
}

// symptomsOfTraces measures the operations that no histogram covers, from
// their server spans. Sampled traces know no rate: RPS is of the sample.
func symptomsOfTraces(b *evidence.Bundle, f *Facts) []Symptom {
	covered := map[evidence.Entity]bool{}
	for i := range f.Symptoms {
		covered[f.Symptoms[i].Entity] = true
	}
	byOp, weights := map[evidence.Entity][]served{}, map[evidence.TraceID]float64{}
	for _, w := range b.Weights {
		weights[w.Trace] = w.Weight
	}
	for i := range b.Spans {
		s := &b.Spans[i]
		if s.Kind != evidence.KindServer && s.Kind != evidence.KindConsumer {
			continue
		}
		e := evidence.Entity{Service: s.Service, Operation: OperationOf(s)}
		if !covered[e] {
			byOp[e] = append(byOp[e], served{s.Start / 1e6, s.Duration(), s.Error, cmp.Or(weights[s.Trace], 1)})
		}
	}
	var out []Symptom
	for e, spans := range byOp {
		out = append(out, symptomOfSpans(b, e, spans))
	}
	return out // the caller sorts
}

// served is one request to an operation.
type served struct {
	at     int64 // Unix ms
	ns     int64
	failed bool
	weight float64 // requests that it speaks for, relative to the others
}

// symptomOfSpans measures one operation from its sampled server spans.
func symptomOfSpans(b *evidence.Bundle, e evidence.Entity, spans []served) Symptom {
	s := Symptom{Entity: e, Source: "traces", Requests: float64(len(spans))}
	s.RPS = s.Requests / b.Window.Duration().Seconds()
	slices.SortFunc(spans, func(a, b served) int { return cmp.Compare(a.at, b.at) })
	all := between(spans, math.MinInt64, math.MaxInt64)
	s.P50, s.P95, s.P99 = quantileOfSpans(all, 0.5), quantileOfSpans(all, 0.95), quantileOfSpans(all, 0.99)
	s.P95Low, s.P95High = s.P95, s.P95
	s.ErrorRatio = failedShare(all)
	s.fillBins(b.Window, 0, func(from, to int64) (float64, float64) {
		in := between(spans, from, to)
		return quantileOfSpans(in, 0.95), float64(len(in))
	})
	if !s.baselineFromRun(b) {
		s.baselineFromSpans(b, spans)
	}
	s.judge()
	return s
}

// baselineFromSpans uses only a baseline that was named: a trace sample knows
// no load, so its low-load stage cannot be found.
func (s *Symptom) baselineFromSpans(b *evidence.Bundle, spans []served) {
	if b.Baseline == nil {
		return
	}
	if in := between(spans, b.Baseline.Start.UnixMilli(), b.Baseline.End.UnixMilli()); len(in) >= minRequests {
		s.BaselineP95, s.BaselineNote = quantileOfSpans(in, 0.95), "the baseline given"
	}
}

// between are those requests, by start, that start in a range of Unix ms, the
// shortest first.
func between(spans []served, from, to int64) []served {
	byStart := func(s served, ms int64) int { return cmp.Compare(s.at, ms) }
	first, _ := slices.BinarySearchFunc(spans, from, byStart)
	end, _ := slices.BinarySearchFunc(spans, to, byStart)
	out := slices.Clone(spans[first:max(end, first)])
	slices.SortFunc(out, func(a, b served) int { return cmp.Compare(a.ns, b.ns) })
	return out
}

// quantileOfSpans is the duration in s that a share of the requests keeps
// within: slow ones are drawn more densely than they come. The spans are by
// duration; NaN of none.
func quantileOfSpans(spans []served, q float64) float64 {
	if len(spans) == 0 {
		return math.NaN()
	}
	lasted, weights := make([]float64, len(spans)), make([]float64, len(spans))
	for i, s := range spans {
		lasted[i], weights[i] = seconds(s.ns), s.weight
	}
	return stat.Quantile(q, stat.LinInterp, lasted, weights)
}

// failedShare of requests.
func failedShare(spans []served) float64 {
	all, failed := 0.0, 0.0
	for _, s := range spans {
		all += s.weight
		if s.failed {
			failed += s.weight
		}
	}
	return per(failed, all)
}
