package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/rules"
)

// gate is --fail-on: it trips when any cause satisfies any of its tests, or the
// objectives of the configuration were not met.
type gate []gateTest

// onObjectives in --fail-on stands for the objectives of the configuration.
const onObjectives = "objectives"

type gateTest struct {
	text string
	rule string // that it names, "" for none
	hit  func(*rules.Hypothesis) bool
}

// gateMeasures are what a cause can be held against with >=.
var gateMeasures = map[string]struct {
	parse func(string) (float64, error)
	of    func(*rules.Hypothesis) float64
}{
	"score": {parseRatio, func(h *rules.Hypothesis) float64 { return h.Score }},
	"share": {parseRatio, func(h *rules.Hypothesis) float64 {
		if h.Impact == nil {
			return -1
		}
		return h.Impact.Share()
	}},
	"saved": {parseSeconds, func(h *rules.Hypothesis) float64 {
		if h.Impact == nil {
			return -1
		}
		return h.Impact.Saved()
	}},
}

func parseGate(s string) (gate, error) {
	var g gate
	for text := range strings.SplitSeq(s, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		t, err := parseGateTest(text)
		if err != nil {
			return nil, err
		}
		g = append(g, t)
	}
	return g, nil
}

func parseGateTest(text string) (gateTest, error) {
	if text == onObjectives {
		return gateTest{text: text, hit: func(*rules.Hypothesis) bool { return false }}, nil
	}
	if text == "any" {
		return gateTest{text: text, hit: func(*rules.Hypothesis) bool { return true }}, nil
	}
	if name, value, ok := strings.Cut(text, ">="); ok {
		m, known := gateMeasures[strings.TrimSpace(name)]
		limit, err := 0.0, error(nil)
		if known {
			limit, err = m.parse(strings.TrimSpace(value))
		}
		if known && err == nil {
			return gateTest{text: text, hit: func(h *rules.Hypothesis) bool { return m.of(h) >= limit }}, nil
		}
	} else if name, id, ok := strings.Cut(text, "="); ok && name == "rule" && id != "" {
		return gateTest{text, id, func(h *rules.Hypothesis) bool { return h.Rule.ID == id }}, nil
	}
	return gateTest{}, fmt.Errorf("--fail-on %q is none of any, objectives, rule=ID, score>=0.8, saved>=100ms, share>=0.2", text)
}

func parseRatio(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err == nil && !(v >= 0 && v <= 1) {
		err = fmt.Errorf("%q is not within 0..1", s)
	}
	return v, err
}

func parseSeconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	return d.Seconds(), err
}

// check refuses a gate that could never trip: a rule that is not there, or whose
// findings are never causes.
func (g gate) check(c *rules.Catalogue) error {
	for _, t := range g {
		if t.rule == "" {
			continue
		}
		switch r := c.Rule(t.rule); {
		case r == nil:
			return fmt.Errorf("--fail-on %s: no rule is called %q: see culprit rules list", t.text, t.rule)
		case r.As != rules.AsCause:
			return fmt.Errorf("--fail-on %s: what that rule says is %s, never a cause, and would never trip it", t.text, r.As)
		}
	}
	return nil
}

// asks reports whether the gate has a test.
func (g gate) asks(text string) bool {
	return slices.ContainsFunc(g, func(t gateTest) bool { return t.text == text })
}

// missedBy says why the objectives trip the gate, "" where they do not.
func (g gate) missedBy(r *report.Report) string {
	if o := r.Objectives; g.asks(onObjectives) && !o.Passed {
		return o.Reason
	}
	return ""
}

// trippedBy names the first cause that trips the gate, "" for none.
func (g gate) trippedBy(j *rules.Judgement) string {
	for _, h := range j.Causes {
		for _, t := range g {
			if t.hit(h) {
				return strings.TrimSpace(h.Rule.ID+" "+h.Subject.String()) + fmt.Sprintf(" (score %.2f)", h.Score)
			}
		}
	}
	return ""
}
