// Package report says the judgement to people and programs: one Report value,
// built once, and many formats that differ in looks alone. It makes units
// human, neutralises text that came from outside, and never measures, judges,
// or reads a clock, a network or a file.
package report

import (
	"io"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// SchemaVersion of the JSON report. It rises when a reader of the older one
// would misread the newer one; optional fields come without a rise.
const SchemaVersion = 1

// Report is everything a format needs, in base units, with text made inert.
// Its JSON is the contract for programs (schema.json).
type Report struct {
	SchemaVersion int                `json:"schema_version"`
	Generator     Generator          `json:"generator"`
	Verdict       Verdict            `json:"verdict"`
	Window        evidence.Window    `json:"window"`
	Baseline      *evidence.Window   `json:"baseline,omitempty"`
	Zone          *Zone              `json:"zone,omitempty"` // nil: UTC
	Loads         []evidence.LoadRun `json:"loads,omitempty"`
	Modules       []Module           `json:"modules,omitempty"`    // of the loads, where their tools tell them apart
	Objectives    *Objectives        `json:"objectives,omitempty"` // nil: none were configured
	Events        []evidence.Event   `json:"events,omitempty"`
	Symptoms      []Symptom          `json:"symptoms"`
	Causes        []Cause            `json:"causes"`
	Ledgers       []Ledger           `json:"ledgers,omitempty"` // of the operations that the first causes slow
	Map           *ServiceMap        `json:"service_map,omitempty"`
	Limits        []Limit            `json:"limits,omitempty"` // what more load would fill, the nearest first
	Scalability   *Scalability       `json:"scalability,omitempty"`
	Leads         []Cause            `json:"leads,omitempty"`        // the best of the unconvincing
	Housekeeping  []Cause            `json:"housekeeping,omitempty"` // true, and not what made the run slow
	Rejected      []Rejected         `json:"rejected"`
	Coverage      []Coverage         `json:"coverage"`
	Unweighed     []Unweighed        `json:"unweighed,omitempty"`
	Notes         []string           `json:"notes,omitempty"` // what weakens the judgement
}

// Generator says what made the report and how to make it again.
type Generator struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	CollectedBy string `json:"collected_by,omitempty"` // version that collected the evidence
	Command     string `json:"command,omitempty" clean:"block"`
}

// Verdict of the whole report.
type Verdict struct {
	Status   rules.VerdictStatus `json:"status"`
	Headline string              `json:"headline"`
}

// Zone in which times are shown besides the offset from the window's start.
type Zone struct {
	Name    string `json:"name"`
	OffsetS int    `json:"offset_s"` // east of UTC
}

// Symptom is how an operation did in the window. Percentiles are in s; 0
// means not measured.
type Symptom struct {
	Service      string            `json:"service" clean:"name"`
	Operation    string            `json:"operation" clean:"name"`
	RPS          float64           `json:"rps"`
	ErrorRatio   float64           `json:"error_ratio"`
	P50          float64           `json:"p50_s"`
	P95          float64           `json:"p95_s"`
	P99          float64           `json:"p99_s"`
	BaselineP95  *float64          `json:"baseline_p95_s"`
	BaselineNote string            `json:"baseline_note,omitempty"`
	P95Low       float64           `json:"p95_low_s,omitempty"`  // bounds of the bucket P95 fell into
	P95High      float64           `json:"p95_high_s,omitempty"` // 0: P95 means "at least"
	Slow         bool              `json:"slow"`
	Why          string            `json:"why,omitempty"`
	Source       string            `json:"source,omitempty"`
	SlowSpans    []Span            `json:"slow_spans,omitempty"` // when it was slow
	Throughput   []LoadPoint       `json:"throughput,omitempty"` // rate and latency of every stretch of the run
	Charts       []analyzers.Chart `json:"charts,omitempty"`
}

// Span of time in Unix ms, half-open.
type Span struct {
	Start int64 `json:"start_ms"`
	End   int64 `json:"end_ms"`
}

// Cause is a ranked hypothesis; leads and housekeeping have rank 0.
type Cause struct {
	Rank        int               `json:"rank"`
	Rule        string            `json:"rule" clean:"name"`
	Title       string            `json:"title"`
	Subject     evidence.Entity   `json:"subject" clean:"name"`
	Score       float64           `json:"score"` // 0..1
	Impact      *Impact           `json:"impact"`
	Onset       *Onset            `json:"onset,omitempty"`
	Mechanism   string            `json:"mechanism,omitempty"`
	Finding     string            `json:"finding,omitempty"` // the sentence of the finding it stands on
	Evidence    []Evidence        `json:"evidence"`
	Explains    []int             `json:"explains"`            // ranks of causes that follow from this one
	Explained   []Explained       `json:"explained,omitempty"` // those without a rank of their own
	Victims     []evidence.Entity `json:"victims,omitempty" clean:"name"`
	Remedy      []string          `json:"remedy"`
	Verify      string            `json:"verify,omitempty"`
	NotWhen     string            `json:"not_when,omitempty"`
	Warnings    []string          `json:"warnings,omitempty"`
	Links       []string          `json:"links" clean:"url"`
	Charts      []analyzers.Chart `json:"charts,omitempty"`
	Traces      []Trace           `json:"traces,omitempty"`
	Queries     []Query           `json:"queries,omitempty"`
	Fingerprint string            `json:"fingerprint" clean:"name"`
}

// Impact is what removing the mechanism would buy, in s, with a 95 % interval
// of the saving.
type Impact struct {
	Service    string  `json:"service,omitempty" clean:"name"`
	Operation  string  `json:"operation" clean:"name"`
	Percentile string  `json:"percentile" clean:"name"` // p95
	Now        float64 `json:"now_s"`
	Then       float64 `json:"then_s"`
	Saved      float64 `json:"saved_s"`
	Low        float64 `json:"low_s"`
	High       float64 `json:"high_s"`
	Share      float64 `json:"share"`             // of Now, 0..1
	AtMost     bool    `json:"at_most,omitempty"` // Saved is an upper bound
	Method     string  `json:"method,omitempty"`
	// Distribution is the whole latency now and then, by rising share.
	Distribution []analyzers.Quantile `json:"distribution,omitempty"`
}

// Evidence is one line of a cause's account.
type Evidence struct {
	Verdict  string   `json:"verdict" clean:"name"` // present, absent, unknown
	For      bool     `json:"for"`
	Finding  string   `json:"finding,omitempty" clean:"name"` // kind
	Text     string   `json:"text"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit" clean:"name"`
	Baseline float64  `json:"baseline,omitempty"`
	Strength float64  `json:"strength"` // 0..1
	Weight   float64  `json:"weight"`
	Refs     []string `json:"refs" clean:"hex"` // trace ids
	Query    string   `json:"query" clean:"block"`
	Warnings []string `json:"warnings,omitempty"`
}

// Explained is a hypothesis that a cause accounts for.
type Explained struct {
	Rule    string          `json:"rule" clean:"name"`
	Title   string          `json:"title"`
	Subject evidence.Entity `json:"subject" clean:"name"`
}

// Trace is an example; Spans in the order of calls where it is drawn.
type Trace struct {
	ID      string      `json:"id" clean:"hex"`
	Link    string      `json:"link,omitempty" clean:"url"`
	Seconds float64     `json:"seconds,omitempty"`
	Spans   []TraceSpan `json:"spans,omitempty"`
	LeftOut int         `json:"left_out,omitempty"` // spans not listed
}

// Query can be run again by hand.
type Query struct {
	Source  string `json:"source" clean:"name"`
	Shows   string `json:"shows,omitempty"` // the finding that it proves
	Text    string `json:"text" clean:"block"`
	Link    string `json:"link,omitempty" clean:"url"`
	Grafana string `json:"grafana,omitempty" clean:"url"` // the same in Grafana's Explore
}

// Rejected is a hypothesis that was weighed and not believed.
type Rejected struct {
	Rule    string          `json:"rule" clean:"name"`
	Subject evidence.Entity `json:"subject" clean:"name"`
	Reason  string          `json:"reason"`
}

// Coverage is the account of one source.
type Coverage struct {
	Source   string          `json:"source" clean:"name"`
	Status   evidence.Status `json:"status" clean:"name"`
	Target   string          `json:"target,omitempty" clean:"name"`
	Version  string          `json:"version,omitempty" clean:"name"`
	Protocol string          `json:"protocol,omitempty" clean:"name"`
	Requests int             `json:"requests,omitempty"`
	Items    int             `json:"items,omitempty"`
	Seconds  float64         `json:"seconds,omitempty"`
	Subset   bool            `json:"subset,omitempty"` // counters speak for more than the window
	Notes    []string        `json:"notes,omitempty"`
	Gaps     []Gap           `json:"gaps"`
}

// Gap is what could not be seen, why, and what would make it visible.
type Gap struct {
	Kinds  []evidence.Kind `json:"kinds" clean:"name"`
	Reason string          `json:"reason"`
	Remedy string          `json:"remedy"`
}

// Unweighed is a mechanism that nothing could be said about.
type Unweighed struct {
	Analyzer string          `json:"analyzer" clean:"name"`
	Missing  []evidence.Kind `json:"missing" clean:"name"`
	Error    string          `json:"error,omitempty"`
}

// Format writes a report in one format.
type Format func(io.Writer, *Report) error

// Output is a format in the register.
type Output struct {
	Name  string // as in --format
	File  string // as written below -o DIR
	Doc   string
	Write Format
}

// Formats is the register, in the order in which it is listed to people.
var Formats = []Output{
	{"md", "report.md", "GitHub-flavoured Markdown, at most 60,000 characters", writeMarkdown},
	{"gitlab", "report-gitlab.md", "GitLab-flavoured Markdown, at most 900,000 characters", writeGitLab},
	{"html", "report.html", "one self-contained page, no script", writeHTML},
	{"json", "report.json", "the contract for programs, schema_version 1", writeJSON},
	{"text", "report.txt", "plain text for a terminal", writeText},
	{"brief", "report-brief.md", "one page of Markdown for an incident", writeBrief},
	{"commonmark", "report-commonmark.md", "Markdown without tables and HTML, for wikis", writeCommonMark},
	{"slack", "report-slack.json", "body of a Slack webhook, at most 10,000 characters", writeSlack},
	{"junit", "report-junit.xml", "JUnit XML: causes fail, what could not be weighed is skipped", writeJUnit},
	{"sarif", "report.sarif", "SARIF 2.1.0, one result a cause", writeSARIF},
	{"github", "report-github.txt", "GitHub workflow annotations", writeGitHub},
	{"csv", "report.csv", "the causes as a table, in base units", writeCSV},
	{"openmetrics", "report.prom", "OpenMetrics text for a textfile collector", writeOpenMetrics},
}

// FormatNamed finds a format in the register.
func FormatNamed(name string) (Output, bool) {
	for _, f := range Formats {
		if f.Name == name {
			return f, true
		}
	}
	return Output{}, false
}

// InZone shows the report's times in a zone; nil is UTC.
func (r *Report) InZone(l *time.Location) { r.Zone = zone(l, r.Window.Start) }

func (r *Report) location() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return time.FixedZone(r.Zone.Name, r.Zone.OffsetS)
}
