package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Measures of an operation that an objective may bind.
const (
	MeasureP50    = "p50"
	MeasureP95    = "p95"
	MeasureP99    = "p99"
	MeasureErrors = "error_ratio"
	MeasureRate   = "rps"
)

// Measures in the order in which they are listed to people.
var Measures = []string{MeasureP50, MeasureP95, MeasureP99, MeasureErrors, MeasureRate}

// Objective is what an operation shall keep: a limit, or no more than so much
// worse than the last runs that passed. Times in s, ratios 0..1.
type Objective struct {
	Name      string
	Service   string // "": any that has the operation; the worst counts
	Operation string // "": every operation; the worst counts
	Measure   string
	Max, Min  *float64 // Min is for rps
	Relative  *float64 // 0.1: a tenth worse than the median of the last passing runs
	Weight    float64
	Key       bool // alone fails the gate
}

// ObjectiveResult is how a run did by one objective.
type ObjectiveResult struct {
	Name      string  `json:"name"`
	Service   string  `json:"service,omitempty" clean:"name"`
	Operation string  `json:"operation,omitempty" clean:"name"` // the one that counts
	Measure   string  `json:"measure" clean:"name"`
	Value     float64 `json:"value"`
	Limit     float64 `json:"limit"`
	Weight    float64 `json:"weight"`
	Key       bool    `json:"key"`
	Verdict   string  `json:"verdict"` // held, missed, unknown, first
	Reason    string  `json:"reason,omitempty"`
}

// Verdicts of an objective. First is a relative objective that no passing run
// came before: it holds, for otherwise none would ever pass.
const (
	ObjectiveHeld    = "held"
	ObjectiveMissed  = "missed"
	ObjectiveUnknown = "unknown"
	ObjectiveFirst   = "first"
)

// NoObjectiveJudged is the reason of objectives of which not one is known.
const NoObjectiveJudged = "no objective could be judged"

// Objectives is how a run did by all of them.
type Objectives struct {
	Results []ObjectiveResult `json:"results"`
	Score   float64           `json:"score"` // weighted share of those that are known and held
	Pass    float64           `json:"pass"`  // share that passes
	Passed  bool              `json:"passed"`
	Reason  string            `json:"reason,omitempty"`
	Runs    int               `json:"passing_runs"` // that relative objectives were held against
}

// JudgeObjectives holds a report against objectives and against the last runs
// that passed; pass is the weighted share that must hold.
func JudgeObjectives(objectives []Objective, pass float64, r *Report, passing []*Report) *Objectives {
	out := &Objectives{Pass: pass, Runs: len(passing), Results: []ObjectiveResult{}}
	known, held := 0.0, 0.0
	var vetoes []string
	for _, o := range objectives {
		x := o.judge(r, passing)
		switch x.Verdict {
		case ObjectiveHeld, ObjectiveFirst:
			known, held = known+o.Weight, held+o.Weight
		case ObjectiveMissed:
			known += o.Weight
			if o.Key {
				vetoes = append(vetoes, o.Name)
			}
		}
		out.Results = append(out.Results, x)
	}
	if known > 0 {
		out.Score = held / known
	}
	switch {
	case len(vetoes) > 0:
		out.Reason = "key objective missed: " + strings.Join(vetoes, ", ")
	case known == 0:
		out.Reason = NoObjectiveJudged
	case out.Score < pass-1e-9:
		out.Reason = fmt.Sprintf("%.0f %% of the weight held, %.0f %% are needed", 100*out.Score, 100*pass)
	default:
		out.Passed = true
	}
	clean := cleaned(*out)
	return &clean
}

// Unknown names the objectives that could not be judged, "" for none.
func (o *Objectives) Unknown() string {
	var names []string
	for _, x := range o.Results {
		if x.Verdict == ObjectiveUnknown {
			names = append(names, x.Name+": "+x.Reason)
		}
	}
	return strings.Join(names, "; ")
}

func (o *Objective) judge(r *Report, passing []*Report) ObjectiveResult {
	x := ObjectiveResult{Name: o.Name, Service: o.Service, Operation: o.Operation, Measure: o.Measure, Weight: o.Weight, Key: o.Key, Verdict: ObjectiveUnknown}
	s := o.worst(r)
	if s == nil {
		x.Reason = "the run has no such measure of " + or(strings.TrimSpace(o.Service+" "+o.Operation), "any operation")
		return x
	}
	x.Service, x.Operation, x.Value = s.Service, s.Operation, o.value(s)
	limit, reason := o.limit(passing)
	x.Limit, x.Reason = limit, reason
	switch {
	case math.IsInf(limit, 0):
		x.Verdict, x.Limit = ObjectiveFirst, 0
	case o.within(x.Value, limit):
		x.Verdict = ObjectiveHeld
	default:
		x.Verdict = ObjectiveMissed
	}
	return x
}

// more is better for a rate alone.
func (o *Objective) within(value, limit float64) bool {
	if o.Measure == MeasureRate {
		return value >= limit
	}
	return value <= limit
}

// limit is infinite where a relative objective has no run to hold against.
func (o *Objective) limit(passing []*Report) (limit float64, reason string) {
	switch {
	case o.Max != nil:
		return *o.Max, ""
	case o.Min != nil:
		return *o.Min, ""
	}
	var values []float64
	for _, r := range passing {
		if s := o.worst(r); s != nil {
			values = append(values, o.value(s))
		}
	}
	if len(values) == 0 {
		return math.Inf(1), "no run that passed to hold it against yet"
	}
	slices.Sort(values)
	middle := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	allowed := 1 + *o.Relative
	if o.Measure == MeasureRate {
		allowed = 1 - *o.Relative
	}
	if len(values) == 1 {
		return middle * allowed, "against the one run that passed"
	}
	return middle * allowed, fmt.Sprintf("against the median of %d runs that passed", len(values))
}

// worst finds the symptom that an objective is about; nil where none was
// measured.
func (o *Objective) worst(r *Report) (worst *Symptom) {
	for i := range r.Symptoms {
		s := &r.Symptoms[i]
		if o.Service != "" && s.Service != o.Service || o.Operation != "" && s.Operation != o.Operation || s.RPS <= 0 {
			continue
		}
		v := o.value(s)
		if v <= 0 && o.Measure != MeasureErrors {
			continue // not measured
		}
		if worst == nil || !o.within(v, o.value(worst)) {
			worst = s
		}
	}
	return worst
}

func (o *Objective) value(s *Symptom) float64 {
	switch o.Measure {
	case MeasureP50:
		return s.P50
	case MeasureP95:
		return s.P95
	case MeasureP99:
		return s.P99
	case MeasureErrors:
		return s.ErrorRatio
	}
	return s.RPS
}
