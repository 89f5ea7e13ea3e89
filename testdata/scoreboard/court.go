package main

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// outcome of judging one run under one handicap.
type outcome struct {
	run      run
	handicap string
	status   rules.VerdictStatus
	rank     int // of the planted cause with the right subject; 0: absent
	untrue   []string
	missing  []string // planted causes beside the first that are not listed
	believed []belief
	gain     *gain
	seconds  float64 // to analyze and judge
	visible  bool    // what is left shows what was planted
	told     bool    // the verdict names the witness that is missing
	rankers  []chance
}

// belief is one cause as the judge scored it, and whether it is true.
type belief struct {
	score float64
	right bool
}

// gain is what fixing the planted cause was predicted to buy, and bought: p95
// of the operation with the fault and without, at the same load, in s.
type gain struct{ now, then, low, high, healthy float64 }

// err is the error of the prediction as a share of what was bought.
func (g gain) err() float64 {
	bought := g.now - g.healthy
	return math.Abs(g.now-g.then-bought) / bought
}

// inside says whether what was bought lies within the stated interval.
func (g gain) inside() bool {
	bought := g.now - g.healthy
	return g.low <= bought && bought <= g.high
}

// asPlanted says whether a diagnosis is as it should be: everything planted,
// first, and nothing false; or no cause where nothing was planted.
func (o outcome) asPlanted() bool {
	if o.run.planted.Expect == nil {
		return len(o.untrue) == 0 && o.status == rules.NoProblem
	}
	return o.rank == 1 && len(o.untrue) == 0 && len(o.missing) == 0
}

// court judges runs, and knows what the same system did when it was healthy.
type court struct {
	catalogue *rules.Catalogue
	sight     sight
	healthy   map[evidence.Entity]float64 // p95 in s, by operation
}

// healthyRun begins the names of the scenarios that the gains are measured
// against; others load further operations.
const healthyRun = "healthy"

func newCourt(runs []run) (*court, error) {
	catalogue, err := rules.Load()
	if err != nil {
		return nil, err
	}
	sight, err := readSight()
	if err != nil {
		return nil, err
	}
	c := &court{catalogue: catalogue, sight: sight, healthy: map[evidence.Entity]float64{}}
	for _, r := range runs { // in the order of their names: the standard load comes first
		if !strings.HasPrefix(r.scenario, healthyRun) || r.handicap != "" {
			continue
		}
		facts := analyzers.Run(r.bundle).Facts
		for _, s := range facts.Symptoms {
			if c.healthy[s.Entity] == 0 {
				c.healthy[s.Entity] = tracedP95(facts, s)
			}
		}
	}
	return c, nil
}

// tracedP95 of an operation, s: of its traces as a prediction is, and not of its
// histogram, of which one bucket may be twice as wide as the one before; of that
// where no trace begins there.
func tracedP95(f *analyzers.Facts, s analyzers.Symptom) float64 {
	i := analyzers.Predict(f.Traces, s.Entity, 0.95, func(*analyzers.Trace) analyzers.Cuts { return nil })
	if i == nil {
		return s.P95
	}
	return i.Now
}

// judge one run with part of its evidence gone.
func (c *court) judge(r run, h handicap) (o outcome, err error) {
	b := *r.bundle
	b.Sources, b.Gaps, b.Series, b.Spans, b.Weights = slices.Clone(b.Sources), slices.Clone(b.Gaps), slices.Clone(b.Series), slices.Clone(b.Spans), slices.Clone(b.Weights)
	h.blind(&b)
	began := time.Now()
	result := analyzers.Run(&b)
	j := c.catalogue.Judge(&b, result)
	o = outcome{run: r, handicap: h.name, status: j.Status, seconds: time.Since(began).Seconds(), told: tells(j, taken(h.name))}
	c.compare(&o, j)
	if r.planted.Expect != nil {
		o.visible, err = c.sight.shows(r, h.name)
		o.rankers = []chance{drawn(j, *r.planted.Expect), byEffect(&b, *r.planted.Expect)}
	}
	return o, err
}

// tells says whether a verdict names a witness that is missing.
func tells(j *rules.Judgement, witness string) bool {
	return witness != "" && slices.ContainsFunc(j.Blind, func(b rules.Blind) bool {
		return strings.EqualFold(b.Witness, witness) || strings.EqualFold(b.Witness, "PostgreSQL") && witness == "postgres"
	})
}

// compare fills in what was found of what was planted.
func (c *court) compare(o *outcome, j *rules.Judgement) {
	p := o.run.planted
	var wanted []cause
	if p.Expect != nil {
		wanted = append([]cause{*p.Expect}, p.Pair...)
	}
	found := make([]bool, len(wanted))
	explained := map[*rules.Hypothesis]bool{}
	for i, h := range j.Causes {
		at := slices.IndexFunc(wanted, func(w cause) bool { return w.is(h) || o.handicap != "" && w.byAnother(h) })
		effect := explained[h] || slices.ContainsFunc(p.Also, func(w cause) bool { return w.is(h) })
		o.believed = append(o.believed, belief{h.Score, at >= 0 || effect})
		switch {
		case at >= 0:
			found[at] = true
			if at == 0 && o.rank == 0 {
				o.rank, o.gain = i+1, c.gainOf(h)
			}
			for _, e := range h.Explains {
				explained[e] = true
			}
		case !effect:
			o.untrue = append(o.untrue, h.Rule.ID+" at "+h.Subject.String())
		}
	}
	for i, w := range wanted[min(1, len(wanted)):] {
		if !found[i+1] {
			o.missing = append(o.missing, w.Rule)
		}
	}
}

// gainOf a cause, where the same operation was seen without the fault and was
// faster.
func (c *court) gainOf(h *rules.Hypothesis) *gain {
	if h.Impact == nil {
		return nil
	}
	healthy := c.healthy[h.Impact.Operation]
	if healthy == 0 || healthy >= h.Impact.Now {
		return nil
	}
	return &gain{h.Impact.Now, h.Impact.Then, h.Impact.Low, h.Impact.High, healthy}
}

// name of a run in the table.
func (o outcome) name() string {
	if o.handicap == "" {
		return o.run.scenario
	}
	return o.run.scenario + ", " + o.handicap
}
