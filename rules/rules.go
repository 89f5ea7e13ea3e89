// Package rules says what findings mean: a catalogue of causes as strict YAML,
// and the judge that weighs them into ranked hypotheses. It measures nothing
// and reads nothing but findings.
package rules

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Verdict of one condition. Unknown is the zero value and is not Absent.
type Verdict int

const (
	Unknown Verdict = iota
	Absent
	Present
)

// String is the JSON spelling.
func (v Verdict) String() string { return [...]string{"unknown", "absent", "present"}[v] }

// Rule is one cause of the catalogue, as its YAML file says it.
type Rule struct {
	ID       string      `yaml:"id"`
	Title    string      `yaml:"title"`   // "N+1: one call a row"
	Doc      string      `yaml:"doc"`     // mechanism, in a few sentences
	Subject  Subjects    `yaml:"subject"` // the findings whose entities are candidates: one, or a list
	When     []Condition `yaml:"when"`    // all needed; of a group one
	For      []Condition `yaml:"for"`
	Against  []Condition `yaml:"against"`
	Explains []string    `yaml:"explains"` // rules whose causes may be victims of this one
	Starts   []string    `yaml:"starts"`   // rules whose causes this one may set off, and that keep their own place behind it
	Remedy   []string    `yaml:"remedy"`   // text/template over the subject's facts
	Verify   string      `yaml:"verify"`   // how to check, or disprove, that this is it
	NotWhen  string      `yaml:"not-when"` // when not to apply the remedy
	Links    []string    `yaml:"links"`
	// As says what a rule that holds is: a cause (default), housekeeping (true,
	// costs money or order, never time), or a flaw of the run, that weakens
	// whatever else is concluded from it.
	As  As   `yaml:"as"`
	Off bool `yaml:"off"` // in a user's directory: remove the rule with this id
}

// Subjects are kinds of findings that name the same thing, seen by different
// witnesses.
type Subjects []analyzers.Kind

// UnmarshalYAML takes one kind or a list of them.
func (s *Subjects) UnmarshalYAML(n *yaml.Node) error {
	var one analyzers.Kind
	if n.Decode(&one) == nil {
		*s = Subjects{one}
		return nil
	}
	return n.Decode((*[]analyzers.Kind)(s))
}

// String lists them.
func (s Subjects) String() string {
	names := make([]string, len(s))
	for i, k := range s {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// As is what a rule that holds is taken for.
type As string

const (
	AsCause        As = ""
	AsHousekeeping As = "housekeeping"
	AsRunFlaw      As = "run-flaw"
)

// Condition weighs one kind of finding: 0 at From, 1 at To, linear between.
type Condition struct {
	Finding analyzers.Kind `yaml:"finding"`
	From    float64        `yaml:"from"`
	To      float64        `yaml:"to"`
	Weight  float64        `yaml:"weight"`
	Group   string         `yaml:"group"` // in a group only the strongest counts
	On      string         `yaml:"on"`    // join: same (default), service, operation, resource, any
}

// Entry is one line of a hypothesis's account.
type Entry struct {
	Condition Condition
	For       bool
	Verdict   Verdict
	Strength  float64            // 0..1
	Finding   *analyzers.Finding // nil when Unknown or Absent without a measure
	Text      string
}

// Hypothesis is a rule held against one subject.
type Hypothesis struct {
	Rule        *Rule
	Subject     evidence.Entity
	Score       float64 // 0..1
	Impact      *analyzers.Impact
	Account     []Entry
	Explains    []*Hypothesis
	Victims     []evidence.Entity // operations that it slows, worst first
	Remedy      []string          // the rule's texts with the finding's facts filled in
	Verify      string
	NotWhen     string
	Fingerprint string             // stable across runs
	Finding     *analyzers.Finding // of the subject
}

// Rejected is a hypothesis that was weighed and not believed.
type Rejected struct {
	Rule    string
	Subject evidence.Entity
	Reason  string // with the number that rejected it
}

// VerdictStatus of a whole report.
type VerdictStatus string

const (
	CausesFound  VerdictStatus = "causes-found"
	NoProblem    VerdictStatus = "no-problem"
	Inconclusive VerdictStatus = "inconclusive"
	RunUnusable  VerdictStatus = "run-unusable"
)

// Judgement is what the judge says of a bundle.
type Judgement struct {
	Status       VerdictStatus
	Headline     string
	Causes       []*Hypothesis // ranked
	Rejected     []Rejected
	Leads        []*Hypothesis // best of the unconvincing, when nothing suffices
	Housekeeping []*Hypothesis // true, ugly, and not what made the run slow
	Flaws        []*Hypothesis // of the run itself: it says less than it seems to
	Blind        []Blind       // witnesses that told nothing, and what they could have shown
	Notes        []string      // what a user's rules replaced; what weakens the judgement
}
