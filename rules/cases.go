package rules

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Case is one test of rules as data: what the analyzers found, and the ranking
// that must come of it.
type Case struct {
	File     string        `yaml:"-"`
	Name     string        `yaml:"name"`
	Symptoms []caseSymptom `yaml:"symptoms"`
	Findings []caseFinding `yaml:"findings"`
	Expect   expectation   `yaml:"expect"`
}

// caseSymptom is an operation under load. Times are in s.
type caseSymptom struct {
	evidence.Entity `yaml:",inline"`
	P95             float64 `yaml:"p95"`
	Baseline        float64 `yaml:"baseline"`
	Requests        float64 `yaml:"requests"` // default 1000
	Slow            bool    `yaml:"slow"`
}

type caseFinding struct {
	Kind            analyzers.Kind `yaml:"kind"`
	evidence.Entity `yaml:",inline"`
	Value           float64           `yaml:"value"`
	Impact          *caseImpact       `yaml:"impact"`
	Victims         []evidence.Entity `yaml:"victims"` // default: the operation of the impact
	Held            []evidence.Entity `yaml:"held"`
	Facts           map[string]string `yaml:"facts"`
}

// caseImpact is a predicted gain, in s.
type caseImpact struct {
	evidence.Entity `yaml:",inline"` // the operation; default: the first symptom's
	Now             float64          `yaml:"now"`
	Then            float64          `yaml:"then"`
	AtMost          bool             `yaml:"at-most"`
}

// expectation is what must come out. What is left empty in a cause's subject
// is not compared; the list of causes is, whole and in order.
type expectation struct {
	Status       VerdictStatus   `yaml:"status"` // "": any
	Causes       []expectedCause `yaml:"causes"`
	Rejected     []string        `yaml:"rejected"`     // ids that must be among them
	Housekeeping []string        `yaml:"housekeeping"` // likewise
	Flaws        []string        `yaml:"flaws"`        // likewise, of the run
}

type expectedCause struct {
	Rule            string `yaml:"rule"`
	evidence.Entity `yaml:",inline"`
	Explains        []string `yaml:"explains"`
}

// ReadCases reads every *.yaml of a directory, strictly. The error names the
// file and what is wrong in it.
func ReadCases(dir fs.FS) ([]Case, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("no *.yaml file there")
	}
	var out []Case
	for _, name := range names {
		cases, err := readCases(dir, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, cases...)
	}
	return out, nil
}

func readCases(dir fs.FS, name string) ([]Case, error) {
	text, err := readBounded(dir, name)
	if err != nil {
		return nil, err
	}
	var file struct {
		Tests []Case `yaml:"tests"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(file.Tests) == 0 {
		return nil, errors.New("tests is empty")
	}
	for i := range file.Tests {
		c := &file.Tests[i]
		c.File = name
		if err := c.validate(); err != nil {
			return nil, fmt.Errorf("test %q: %w", c.Name, err)
		}
	}
	return file.Tests, nil
}

func (c *Case) validate() error {
	if c.Name == "" {
		return errors.New("a test has no name")
	}
	known := knownFindings()
	for _, f := range c.Findings {
		if !known[f.Kind] {
			return fmt.Errorf("no analyzer finds %q", f.Kind)
		}
		if f.Impact != nil && f.Impact.IsZero() && len(c.Symptoms) == 0 {
			return fmt.Errorf("the impact of %s names no operation, and there is no symptom to take it from", f.Kind)
		}
	}
	return nil
}

// Run judges the case's findings with a catalogue; the error says how the
// outcome differs from what is expected, nil when it does not.
func (c *Case) Run(catalogue *Catalogue) error {
	return c.Expect.differs(catalogue.Judge(&evidence.Bundle{}, c.result()))
}

func (c *Case) result() *analyzers.Result {
	r := &analyzers.Result{Facts: &analyzers.Facts{}}
	for _, s := range c.Symptoms {
		symptom := analyzers.Symptom{Entity: s.Entity, P95: s.P95, BaselineP95: s.Baseline, Requests: cmp.Or(s.Requests, 1000), Slow: s.Slow}
		r.Facts.Symptoms = append(r.Facts.Symptoms, symptom)
		if s.Slow {
			r.Facts.Slow = append(r.Facts.Slow, symptom)
		}
	}
	for _, f := range c.Findings {
		r.Findings = append(r.Findings, c.finding(&f))
	}
	return r
}

func (c *Case) finding(f *caseFinding) analyzers.Finding {
	out := analyzers.Finding{Kind: f.Kind, Entity: f.Entity, Value: f.Value, Facts: f.Facts, Victims: f.Victims, Held: f.Held, Text: fmt.Sprintf("%s is %g", f.Kind, f.Value)}
	if i := f.Impact; i != nil {
		operation := i.Entity
		if operation.IsZero() {
			operation = c.Symptoms[0].Entity
		}
		out.Impact = &analyzers.Impact{Operation: operation, Percentile: 0.95, Now: i.Now, Then: i.Then, Low: i.Now - i.Then, High: i.Now - i.Then, AtMost: i.AtMost, Method: "test"}
		if out.Victims == nil {
			out.Victims = []evidence.Entity{operation}
		}
	}
	return out
}

func (e *expectation) differs(j *Judgement) error {
	var wrong []error
	if e.Status != "" && e.Status != j.Status {
		wrong = append(wrong, fmt.Errorf("the verdict is %s, want %s", j.Status, e.Status))
	}
	if !slices.EqualFunc(j.Causes, e.Causes, func(h *Hypothesis, want expectedCause) bool { return want.is(h) }) {
		wrong = append(wrong, fmt.Errorf("the causes are %s, want %s; %s", causesText(j.Causes), wantText(e.Causes), rejectedText(j.Rejected)))
	}
	for _, id := range e.Rejected {
		if !slices.ContainsFunc(j.Rejected, func(r Rejected) bool { return r.Rule == id }) {
			wrong = append(wrong, fmt.Errorf("%s is not rejected", id))
		}
	}
	wrong = append(wrong, absent(j.Housekeeping, e.Housekeeping, "in the housekeeping"), absent(j.Flaws, e.Flaws, "a flaw of the run"))
	return errors.Join(wrong...)
}

func (c *expectedCause) is(h *Hypothesis) bool {
	var victims []string
	for _, v := range h.Explains {
		victims = append(victims, v.Rule.ID)
	}
	s := h.Subject
	return c.Rule == h.Rule.ID && slices.Equal(c.Explains, victims) &&
		agree(c.Service, s.Service) && agree(c.Instance, s.Instance) && agree(c.Operation, s.Operation) && agree(c.Resource, s.Resource)
}

func causesText(causes []*Hypothesis) string {
	var out []string
	for _, h := range causes {
		text := fmt.Sprintf("%s at %s (score %.2f)", h.Rule.ID, h.Subject, h.Score)
		for _, v := range h.Explains {
			text += " explaining " + v.Rule.ID
		}
		out = append(out, text)
	}
	return listText(out)
}

func wantText(causes []expectedCause) string {
	var out []string
	for _, c := range causes {
		text := c.Rule
		if !c.IsZero() {
			text += " at " + c.String()
		}
		for _, v := range c.Explains {
			text += " explaining " + v
		}
		out = append(out, text)
	}
	return listText(out)
}

func rejectedText(rejected []Rejected) string {
	var out []string
	for _, r := range rejected {
		out = append(out, fmt.Sprintf("%s at %s: %s", r.Rule, r.Subject, r.Reason))
	}
	return "rejected: " + listText(out)
}

func listText(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	return strings.Join(items, "; ")
}

// absent says which rules are not among hypotheses, nil for none.
func absent(among []*Hypothesis, ids []string, what string) error {
	var wrong []error
	for _, id := range ids {
		if !slices.ContainsFunc(among, func(h *Hypothesis) bool { return h.Rule.ID == id }) {
			wrong = append(wrong, fmt.Errorf("%s is not %s", id, what))
		}
	}
	return errors.Join(wrong...)
}
