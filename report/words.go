package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// Words that several formats share, so that they say the same.

// scoreWord puts a score in a word. The steps are the report's own: a score is
// not a probability.
func scoreWord(s float64) string {
	switch {
	case s >= 0.8:
		return "strong"
	case s >= 0.6:
		return "good"
	case s >= 0.4:
		return "moderate"
	}
	return "weak"
}

func scoreText(s float64) string { return fmt.Sprintf("%s, %.2f", scoreWord(s), s) }

// statusWord names a verdict.
func statusWord(r *Report) string {
	switch r.Verdict.Status {
	case rules.CausesFound:
		if len(r.Causes) > 1 {
			return fmt.Sprintf("%d causes found", len(r.Causes))
		}
		return "Cause found"
	case rules.NoProblem:
		if len(r.Verdict.NotRead) > 0 {
			return "No problem in what was read"
		}
		return "No problem found"
	case rules.RunUnusable:
		return "Run not usable"
	}
	return "Not explained"
}

// coverageWord names the state of a source.
func coverageWord(s evidence.Status) string {
	switch s {
	case evidence.StatusOK:
		return "ok"
	case evidence.StatusPartial:
		return "partial"
	case evidence.StatusFailed:
		return "failed"
	}
	return "not seen"
}

// coverageDetail says in a few words what a source brought.
func coverageDetail(c Coverage) string {
	var parts []string
	if c.Items > 0 {
		parts = append(parts, thousands(c.Items)+" items")
	}
	if c.Seconds > 0 {
		parts = append(parts, seconds(c.Seconds))
	}
	if n := len(c.Gaps); n == 1 {
		parts = append(parts, "1 gap")
	} else if n > 1 {
		parts = append(parts, fmt.Sprintf("%d gaps", n))
	}
	return strings.Join(parts, ", ")
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// p95Text is a percentile with what is known of its error: "at least" where
// it lies above the last bucket of the histogram.
func p95Text(s Symptom) string {
	switch {
	case s.P95 == 0:
		return "–"
	case s.P95Low > 0 && s.P95High == 0:
		return "≥ " + seconds(s.P95)
	}
	return seconds(s.P95)
}

// bucketText is the interval that the p95 is known to lie in.
func bucketText(s Symptom) string {
	if s.P95High <= s.P95Low {
		return ""
	}
	return secondsRange(s.P95Low, s.P95High)
}

func orDash(v float64) string {
	if v == 0 {
		return "–"
	}
	return seconds(v)
}

func baselineText(s Symptom) string {
	if s.BaselineP95 == nil {
		return "–"
	}
	return seconds(*s.BaselineP95)
}

// savedText is the gain with its interval: 570 ms (500–620 ms).
func savedText(i *Impact) string {
	if i == nil {
		return "not measured"
	}
	s := seconds(i.Saved)
	if i.AtMost {
		s = "at most " + s
	}
	if i.High > i.Low {
		s += " (" + secondsRange(i.Low, i.High) + ")"
	}
	return s
}

// nowThen is the change in one sentence.
func nowThen(i *Impact) string {
	if i == nil {
		return "What fixing it would buy could not be measured."
	}
	saves := "saves"
	if i.AtMost {
		saves = "saves at most"
	}
	now := "now"
	if i.During != nil {
		now = "from " + (&analyzers.Spell{From: i.During.Start, To: i.During.End}).When()
	}
	s := fmt.Sprintf("%s of %s: %s %s, %s with this gone; %s %s", i.Percentile, i.target(), seconds(i.Now), now, seconds(i.Then), saves, seconds(i.Saved))
	if i.High > i.Low {
		s += fmt.Sprintf(" (95 %% interval %s)", secondsRange(i.Low, i.High))
	}
	if i.Share > 0 {
		s += fmt.Sprintf(", %s of it", shareText(i.Share))
	}
	return s + "."
}

// shareText is a ratio without decimals: its interval is wider than those.
func shareText(ratio float64) string { return percent(math.Round(ratio*100) / 100) }

// operationName is what a symptom is about.
func operationName(s Symptom) string {
	return entityText(evidence.Entity{Service: s.Service, Operation: s.Operation})
}

// entityText is where something is, coarsest first.
func entityText(e evidence.Entity) string {
	var names []string
	for _, p := range parts(e) {
		names = append(names, p.Value)
	}
	return strings.Join(names, " · ")
}

// verdictMark is a sign for what one line of evidence says of the cause: it
// supports it, speaks against it, or is not known. What speaks against and is
// absent supports.
func verdictMark(e Evidence) string {
	switch {
	case e.Verdict == "unknown":
		return "?"
	case (e.Verdict == "present") == e.For:
		return "+"
	}
	return "−"
}

// target is the operation whose latency an impact is about.
func (i *Impact) target() string {
	return entityText(evidence.Entity{Service: i.Service, Operation: i.Operation})
}

// gap is a gap with the source it belongs to.
type gap struct {
	Source string
	Gap
}

func (r *Report) gaps() []gap {
	var out []gap
	for _, c := range r.Coverage {
		for _, g := range c.Gaps {
			out = append(out, gap{c.Source, g})
		}
	}
	return out
}

func kindsText(kinds []evidence.Kind) string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = string(k)
	}
	return strings.Join(s, ", ")
}

// slowSpans is when the operation that a cause hurts was slow, or else when
// the worst one was.
func (r *Report) slowSpans(c *Cause) []Span {
	if c != nil && c.Impact != nil {
		for _, s := range r.Symptoms {
			if s.Operation == c.Impact.Operation && (c.Impact.Service == "" || s.Service == c.Impact.Service) && len(s.SlowSpans) > 0 {
				return s.SlowSpans
			}
		}
	}
	for _, s := range r.Symptoms {
		if len(s.SlowSpans) > 0 {
			return s.SlowSpans
		}
	}
	return nil
}

// piece of a text: prose, or code between backticks.
type piece struct {
	Text string
	Code bool
}

// pieces splits a text at its backticks. Where they do not make sense (an odd
// one out, nothing between two of them) all of it is prose.
func pieces(s string) []piece {
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 {
		return []piece{{s, false}}
	}
	var out []piece
	for i, p := range parts {
		inside := i > 0 && i < len(parts)-1
		switch {
		case inside && strings.TrimSpace(p) == "" && (i%2 == 1 || p == ""):
			return []piece{{s, false}}
		case p != "":
			out = append(out, piece{p, i%2 == 1})
		}
	}
	return out
}

// language of a query, for fences and labels.
func language(source string) string {
	switch source {
	case "prometheus":
		return "promql"
	case "postgres":
		return "sql"
	}
	return "text"
}

// coverageSign marks the state of a source for those who skim.
func coverageSign(c Coverage) string {
	switch c.Status {
	case evidence.StatusOK:
		return "✓"
	case evidence.StatusPartial:
		return "◐"
	case evidence.StatusFailed:
		return "✗"
	}
	return "○"
}

// accountSign is verdictMark with a shape that stands out in running text.
func accountSign(e Evidence) string {
	return map[string]string{"+": "✓", "−": "✗", "?": "?"}[verdictMark(e)]
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// operationsShown are listed at once; a system has hundreds, and those that
// matter come first.
const operationsShown = 5

// inSight splits the operations: slow ones and the first few, and the others.
func (r *Report) inSight() (shown, more []Symptom) {
	n := min(operationsShown, len(r.Symptoms))
	for n < len(r.Symptoms) && r.Symptoms[n].Slow {
		n++
	}
	if len(r.Symptoms)-n <= 3 { // no shorter folded
		n = len(r.Symptoms)
	}
	return r.Symptoms[:n], r.Symptoms[n:]
}

func (r *Report) anySlow() bool {
	return slices.ContainsFunc(r.Symptoms, func(s Symptom) bool { return s.Slow })
}

// clock says who measured the operations: their server, unless none did.
func (r *Report) clock() string {
	if len(r.Symptoms) > 0 {
		switch r.Symptoms[0].Source {
		case "load":
			return "the load tool measured it"
		case "statements":
			return "the database's statements took it, about"
		}
	}
	return "the server measured it"
}
