// Package analyzers measures. Each analyzer is a pure function of the bundle:
// it reports findings with a value, a unit, a sentence and the references
// behind it, and says how many milliseconds the mechanism costs. It never
// judges whether a finding is a cause (package rules does), and never reads a
// clock, a network or a file.
package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Kind names one sort of finding. Rules refer to it; the spelling is public.
type Kind string

// Finding is one measured fact about an entity.
type Finding struct {
	Kind     Kind              `json:"kind"`
	Entity   evidence.Entity   `json:"entity"`
	Value    float64           `json:"value"`
	Unit     string            `json:"unit"`     // UCUM; "" and "1" are plain numbers, a ratio is 0..1
	Baseline float64           `json:"baseline"` // NaN-free; 0 where there is none
	Text     string            `json:"text"`     // one sentence, numbers in it are for people
	Refs     []evidence.Ref    `json:"refs,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
	Impact   *Impact           `json:"impact,omitempty"`  // what removing the mechanism would buy, where it could be measured
	Charts   []Chart           `json:"charts,omitempty"`  // how to show it
	Onset    *Onset            `json:"onset,omitempty"`   // when it began, where its series shows a step
	Victims  []evidence.Entity `json:"victims,omitempty"` // operations that the mechanism slows
	Held     []evidence.Entity `json:"held,omitempty"`    // operations that stand still meanwhile, with the connections and workers that they hold
	Facts    map[string]string `json:"facts,omitempty"`   // words for the rule's remedy template: table, columns, setting, ...
}

// Impact is the predicted gain: the percentile of an operation now and with
// the mechanism removed, in s, with a 95 % interval.
type Impact struct {
	Operation  evidence.Entity `json:"operation"`
	Percentile float64         `json:"percentile"` // 0.95, 0.99
	Now        float64         `json:"now_s"`
	Then       float64         `json:"then_s"`
	Low        float64         `json:"low_s"`             // of the saving
	High       float64         `json:"high_s"`            // of the saving
	AtMost     bool            `json:"at_most,omitempty"` // an upper bound: the request without the call, where the fix makes it faster at best
	Method     string          `json:"method"`            // "what-if on 312 traces", "pool wait from metrics"
	// Distribution is the whole latency of the operation now and then, by
	// rising share; empty where only the percentile is known.
	Distribution []Quantile `json:"distribution,omitempty"`
}

// Quantile is the latency that a share of the requests keeps within, in s, as
// recorded and with the mechanism removed.
type Quantile struct {
	Share float64 `json:"share"` // 0..1
	Now   float64 `json:"now_s"`
	Then  float64 `json:"then_s"`
}

// Saved is Now - Then.
func (i *Impact) Saved() float64 { return i.Now - i.Then }

// limit marks the gain as an upper bound.
func (i *Impact) limit() {
	if i != nil {
		i.AtMost = true
	}
}

// Share of the percentile that would go.
func (i *Impact) Share() float64 {
	if i.Now <= 0 {
		return 0
	}
	return i.Saved() / i.Now
}

// Analyzer measures one mechanism. It is a value; the register is All.
type Analyzer struct {
	Name string // n-plus-one, cpu-throttling, ...
	Doc  string // what it measures, from what, with which source for the method
	// Needs must all be present, and of NeedsAny one, or the analyzer is skipped
	// with the reason; Uses make it better.
	Needs, NeedsAny, Uses []evidence.Kind
	Finds                 []Kind
	Run                   func(*Pass) error
}

// Pass is one analyzer's view of the bundle, with the facts that all share.
type Pass struct {
	Bundle *evidence.Bundle
	Facts  *Facts // symptoms, traces, slow windows: computed once, read-only
	report func(Finding)
}

// Report adds a finding.
func (p *Pass) Report(f Finding) { p.report(f) }

// Skip says which analyzer could not run and what it lacked.
type Skip struct {
	Analyzer string          `json:"analyzer"`
	Missing  []evidence.Kind `json:"missing"`
	Finds    []Kind          `json:"finds"`
	Err      string          `json:"error,omitempty"`
}

// Result of all analyzers over a bundle.
type Result struct {
	Facts    *Facts
	Findings []Finding
	Skips    []Skip
	Notes    []string // what was repaired in the traces, what slow requests share
	Limits   []Limit  // the resources that more load would fill, the nearest first
	// Scalability of the whole under its load; nil where nobody saw what was asked.
	Scalability *Scalability
}

// Validate refuses an analyzer that is nameless, undocumented or finds nothing.
func (a *Analyzer) Validate() error {
	switch {
	case a.Name == "":
		return fmt.Errorf("an analyzer has no name")
	case a.Doc == "":
		return fmt.Errorf("analyzer %q is undocumented", a.Name)
	case len(a.Finds) == 0:
		return fmt.Errorf("analyzer %q finds nothing", a.Name)
	case a.Run == nil:
		return fmt.Errorf("analyzer %q cannot run", a.Name)
	}
	return nil
}
