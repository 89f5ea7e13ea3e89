package report

import (
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// ranked turns the judge's causes into the report's, best first.
func (bd *builder) ranked(hs []*rules.Hypothesis) []Cause {
	out := []Cause{}
	for i, h := range hs {
		c := bd.cause(h)
		c.Rank = i + 1
		if c.Rank <= chartedCauses {
			bd.illustrate(&c, h)
		}
		c.Explains, c.Explained = explains(h, hs)
		out = append(out, c)
	}
	return out
}

// illustrate gives a cause its pictures; those that are read first have some.
func (bd *builder) illustrate(c *Cause, h *rules.Hypothesis) {
	c.Charts, c.Onset = charts(h), bd.onset(h)
	if c.Impact != nil {
		c.Impact.Distribution = h.Impact.Distribution
	}
	if len(c.Traces) == 0 {
		c.Traces = bd.typical(h)
	}
	bd.drawExample(c)
}

// typical is the request of the slowed operation that comes nearest to its
// percentile, among those that a cause's service had a part in: an example
// where the finding itself names none.
func (bd *builder) typical(h *rules.Hypothesis) []Trace {
	if h.Impact == nil {
		return nil
	}
	var best *analyzers.Trace
	distance := math.Inf(1)
	for _, t := range bd.traces() {
		served := slices.ContainsFunc(t.Spans, func(s evidence.Span) bool { return s.Service == h.Subject.Service })
		if t.Entity() != h.Impact.Operation || !served && h.Subject.Service != "" {
			continue
		}
		if d := math.Abs(float64(t.Spans[t.Root].Duration())/1e9 - h.Impact.Now); d < distance {
			best, distance = t, d
		}
	}
	if best == nil {
		return nil
	}
	id := best.ID.String()
	return []Trace{{ID: id, Link: bd.links.trace(id)}}
}

// drawExample draws the first example of a cause that is among the traces.
func (bd *builder) drawExample(c *Cause) {
	for i := range c.Traces {
		if t := traceOf(bd.traces(), c.Traces[i].ID); t != nil {
			c.Traces[i].draw(t)
			return
		}
	}
}

func (bd *builder) unranked(hs []*rules.Hypothesis) []Cause {
	var out []Cause
	for _, h := range hs {
		out = append(out, bd.cause(h))
	}
	return out
}

func (bd *builder) cause(h *rules.Hypothesis) Cause {
	c := Cause{
		Rule: h.Rule.ID, Title: h.Rule.Title, Subject: h.Subject, Score: h.Score,
		Impact: impact(h.Impact), Mechanism: h.Rule.Doc, Verify: h.Verify, NotWhen: h.NotWhen, Victims: h.Victims,
		Evidence: account(h), Explains: []int{}, Remedy: nonEmpty(h.Remedy), Links: orEmpty(h.Rule.Links), Fingerprint: h.Fingerprint,
	}
	if h.Finding != nil {
		c.Finding, c.Warnings = h.Finding.Text, h.Finding.Warnings
	}
	c.Traces, c.Queries = bd.references(h)
	return c
}

func orEmpty(s []string) []string { return append([]string{}, s...) }

// nonEmpty drops the lines that a rule's template left empty for want of a
// fact.
func nonEmpty(s []string) []string {
	return slices.DeleteFunc(orEmpty(s), func(l string) bool { return strings.TrimSpace(l) == "" })
}

func impact(i *analyzers.Impact) *Impact {
	if i == nil {
		return nil
	}
	out := &Impact{
		Service: i.Operation.Service, Operation: i.Operation.Operation, Percentile: percentile(i.Percentile),
		Now: i.Now, Then: i.Then, Saved: i.Saved(), Low: i.Low, High: i.High, Share: i.Share(), AtMost: i.AtMost, Method: i.Method,
	}
	if i.Spell != nil {
		out.During = &Span{i.Spell.From, i.Spell.To}
	}
	return out
}

// explains gives the ranks of the causes that h accounts for, and apart the
// hypotheses that it swallowed.
func explains(h *rules.Hypothesis, all []*rules.Hypothesis) ([]int, []Explained) {
	ranks, rest := []int{}, []Explained(nil)
	for _, v := range h.Explains {
		if i := slices.Index(all, v); i >= 0 {
			ranks = append(ranks, i+1)
			continue
		}
		rest = append(rest, Explained{Rule: v.Rule.ID, Title: v.Rule.Title, Subject: v.Subject})
	}
	return ranks, rest
}

// account turns the judge's entries into lines, what speaks for first.
func account(h *rules.Hypothesis) []Evidence {
	out := []Evidence{}
	for _, e := range h.Account {
		l := line(e)
		if e.Finding == h.Finding {
			l.Warnings = nil // said once, for the cause
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(x, y Evidence) int {
		switch {
		case x.For == y.For:
			return 0
		case x.For:
			return -1
		}
		return 1
	})
	return out
}

func line(e rules.Entry) Evidence {
	l := Evidence{Verdict: e.Verdict.String(), For: e.For, Finding: string(e.Condition.Finding), Text: e.Text, Strength: e.Strength, Weight: e.Condition.Weight, Refs: []string{}}
	if f := e.Finding; f != nil {
		l.Value, l.Unit, l.Baseline, l.Warnings = f.Value, f.Unit, f.Baseline, f.Warnings
		if l.Text == "" {
			l.Text = f.Text
		}
		for _, r := range f.Refs {
			if r.Trace != "" {
				l.Refs = append(l.Refs, r.Trace)
			}
			if l.Query == "" {
				l.Query = r.Query
			}
		}
	}
	if l.Text == "" {
		l.Text = string(e.Condition.Finding) + ": " + map[rules.Verdict]string{rules.Unknown: "could not be seen", rules.Absent: "not found", rules.Present: "found"}[e.Verdict]
	}
	return l
}

// references collects the example traces and the queries behind a hypothesis,
// those of its own finding first, each once.
func (bd *builder) references(h *rules.Hypothesis) ([]Trace, []Query) {
	var traces []Trace
	var queries []Query
	for _, f := range findings(h) {
		for _, ref := range f.Refs {
			if id := cleanHex(ref.Trace); id != "" && len(traces) < tracesPerCause &&
				!slices.ContainsFunc(traces, func(t Trace) bool { return t.ID == id }) {
				traces = append(traces, Trace{ID: id, Link: bd.links.trace(id)})
			}
			if ref.Query != "" && len(queries) < queriesShown &&
				!slices.ContainsFunc(queries, func(q Query) bool { return q.Source == ref.Source && q.Text == ref.Query }) {
				queries = append(queries, Query{Source: ref.Source, Shows: f.Text, Text: ref.Query, Link: bd.links.query(ref, bd.bundle.Window), Grafana: bd.links.grafana(ref, bd.bundle.Window)})
			}
		}
	}
	return traces, queries
}

// findings behind a hypothesis, its own first.
func findings(h *rules.Hypothesis) []*analyzers.Finding {
	var out []*analyzers.Finding
	if h.Finding != nil {
		out = append(out, h.Finding)
	}
	for _, e := range h.Account {
		if e.Finding != nil && !slices.Contains(out, e.Finding) {
			out = append(out, e.Finding)
		}
	}
	return out
}

// charts of the findings behind a hypothesis, each title once.
func charts(h *rules.Hypothesis) []analyzers.Chart {
	var out []analyzers.Chart
	for _, f := range findings(h) {
		for _, c := range f.Charts {
			if len(out) < chartsPerCause && !slices.ContainsFunc(out, func(o analyzers.Chart) bool { return o.Title == c.Title }) {
				out = append(out, c)
			}
		}
	}
	return thinned(out)
}
