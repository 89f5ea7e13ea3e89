package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// How much is shown. Charts go to the causes that are read first.
const (
	chartedCauses  = 3
	chartsPerCause = 4
	chartedSlow    = 3 // symptoms
	tracesPerCause = 5
	queriesShown   = 12 // a cause
)

// Options of a report that the evidence does not hold.
type Options struct {
	Version string         // of culprit, that judged
	Command string         // command line that makes the report again, without secrets
	Links   Links          // where the reader's own tools are
	Zone    *time.Location // nil: UTC
}

// Build makes the report. It copies what it takes: nothing of the bundle or
// the judgement is changed, and every text in the result is inert.
func Build(b *evidence.Bundle, res *analyzers.Result, j *rules.Judgement, opts Options) *Report {
	bd := builder{bundle: b, facts: res.Facts, links: opts.Links.checked()}
	r := &Report{
		SchemaVersion: SchemaVersion,
		Generator:     Generator{Name: "culprit", Version: opts.Version, CollectedBy: b.Version, Command: opts.Command},
		Window:        utc(b.Window),
		Loads:         loads(b.Loads, res.Facts),
		Events:        b.Events,
		Symptoms:      symptoms(res.Facts, affected(j.Causes)),
		Causes:        bd.ranked(j.Causes),
		Ledgers:       ledgers(bd.traces(), j.Causes),
		Map:           serviceMap(bd.traces(), j.Causes),
		Limits:        limits(res.Limits),
		Scalability:   scalability(res.Scalability),
		Leads:         bd.unranked(j.Leads),
		Housekeeping:  bd.unranked(j.Housekeeping),
		Rejected:      rejected(j.Rejected),
		Coverage:      coverage(b),
		Unweighed:     unweighed(res.Skips),
		Notes:         slices.Concat(j.Notes, res.Notes),
		Zone:          zone(opts.Zone, b.Window.Start),
	}
	if f := res.Facts; f != nil && len(f.Events) > 0 { // those of the bundle among them
		r.Events = f.Events
	}
	if w := b.Baseline; w != nil {
		r.Baseline = new(utc(*w))
	} else if run := b.BaselineRun; run != nil {
		r.Baseline = new(utc(run.Window))
	}
	r.Verdict = Verdict{Status: j.Status, Headline: cmp.Or(j.Headline, headline(j.Status, r))}
	r.Modules = r.modules()
	out := cleaned(*r)
	return &out
}

// loads gives the first load the stages that its rate shows, where no tool told
// any.
func loads(in []evidence.LoadRun, f *analyzers.Facts) []evidence.LoadRun {
	if f == nil || len(in) == 0 || slices.ContainsFunc(in, func(l evidence.LoadRun) bool { return len(l.Stages) > 0 }) {
		return in
	}
	out := slices.Clone(in)
	out[0].Stages = f.Stages
	return out
}

// builder carries what several parts of a report are made from.
type builder struct {
	bundle *evidence.Bundle
	facts  *analyzers.Facts // nil where nothing was measured
	links  Links
}

func (bd *builder) traces() []*analyzers.Trace {
	if bd.facts == nil {
		return nil
	}
	return bd.facts.Traces
}

func utc(w evidence.Window) evidence.Window {
	return evidence.Window{Start: w.Start.UTC(), End: w.End.UTC()}
}

func zone(l *time.Location, at time.Time) *Zone {
	if l == nil || l == time.UTC {
		return nil
	}
	name, offset := at.In(l).Zone()
	return &Zone{Name: name, OffsetS: offset}
}

// affected lists the operations whose latency the causes account for.
func affected(causes []*rules.Hypothesis) []evidence.Entity {
	var out []evidence.Entity
	for _, h := range causes {
		if h.Impact != nil && !slices.Contains(out, h.Impact.Operation) {
			out = append(out, h.Impact.Operation)
		}
	}
	return out
}

// symptoms lists the slow operations first, worst first, then those that a
// cause affects, then the others. The first two sorts say when they were slow.
func symptoms(f *analyzers.Facts, affected []evidence.Entity) []Symptom {
	out := []Symptom{}
	if f == nil {
		return out
	}
	charted := 0
	for _, s := range inOrder(f, affected) {
		sym := symptom(s)
		if s.Slow || slices.Contains(affected, s.Entity) {
			sym.SlowSpans = slowSpans(s)
			if charted < chartedSlow {
				sym.Charts, sym.Throughput = symptomCharts(s, charted == 0), loadPoints(s)
			}
			charted++
		}
		out = append(out, sym)
	}
	return out
}

func inOrder(f *analyzers.Facts, affected []evidence.Entity) []analyzers.Symptom {
	rank := func(s analyzers.Symptom) int {
		if i := slices.IndexFunc(f.Slow, func(o analyzers.Symptom) bool { return o.Entity == s.Entity }); i >= 0 {
			return i
		}
		if i := slices.Index(affected, s.Entity); i >= 0 {
			return len(f.Slow) + i
		}
		return len(f.Slow) + len(affected)
	}
	out := slices.Clone(f.Symptoms)
	slices.SortStableFunc(out, func(x, y analyzers.Symptom) int { return cmp.Compare(rank(x), rank(y)) })
	return out
}

func symptom(s analyzers.Symptom) Symptom {
	out := Symptom{
		Service: s.Entity.Service, Operation: s.Entity.Operation,
		RPS: s.RPS, ErrorRatio: s.ErrorRatio, P50: s.P50, P95: s.P95, P99: s.P99,
		P95Low: s.P95Low, P95High: s.P95High, BaselineNote: s.BaselineNote,
		Slow: s.Slow, Why: s.Why, Source: s.Source,
	}
	if s.BaselineP95 > 0 {
		out.BaselineP95 = &s.BaselineP95
	}
	return out
}

// slowSpans joins neighbouring slow bins. A bin reaches to the next one; the
// last is as wide as the one before it.
func slowSpans(s analyzers.Symptom) []Span {
	var out []Span
	for i, slow := range s.SlowBins {
		if !slow || i >= len(s.Times) {
			continue
		}
		bin := Span{s.Times[i], binEnd(s.Times, i)}
		if n := len(out); n > 0 && out[n-1].End == bin.Start {
			out[n-1].End = bin.End
			continue
		}
		out = append(out, bin)
	}
	return out
}

func binEnd(times []int64, i int) int64 {
	switch {
	case i+1 < len(times):
		return times[i+1]
	case i > 0:
		return times[i] + times[i] - times[i-1]
	}
	return times[i] + 1000
}

// symptomCharts draws the latency of an operation, and its load if it is the
// worst one.
func symptomCharts(s analyzers.Symptom, worst bool) []analyzers.Chart {
	if len(s.Times) < 2 {
		return nil
	}
	name := entityText(s.Entity)
	charts := []analyzers.Chart{{Title: "p95 of " + name, Unit: "s", Lines: []analyzers.Line{{Name: "p95", Times: s.Times, Values: s.P95s}}}}
	if s.BaselineP95 > 0 {
		charts[0].Limit, charts[0].LimitName = s.BaselineP95, "baseline p95"
	}
	if worst && len(s.Rates) == len(s.Times) {
		charts = append(charts, analyzers.Chart{Title: "Requests of " + name, Unit: "{request}/s", Lines: []analyzers.Line{{Name: "requests", Times: s.Times, Values: s.Rates}}})
	}
	return thinned(charts)
}

func rejected(in []rules.Rejected) []Rejected {
	out := []Rejected{}
	for _, x := range in {
		out = append(out, Rejected{Rule: x.Rule, Subject: x.Subject, Reason: x.Reason})
	}
	return out
}

func unweighed(skips []analyzers.Skip) []Unweighed {
	var out []Unweighed
	for _, s := range skips {
		out = append(out, Unweighed{Analyzer: s.Analyzer, Missing: s.Missing, Error: s.Err})
	}
	return out
}

// headline is the verdict's sentence where the judge gave none.
func headline(status rules.VerdictStatus, r *Report) string {
	switch {
	case status == rules.CausesFound && len(r.Causes) > 0:
		c := r.Causes[0]
		s := "Most likely cause: " + c.Title
		if name := entityText(c.Subject); name != "" {
			s += " in " + name
		}
		if c.Impact != nil {
			s += fmt.Sprintf("; fixing it would save %s of the %s of %s", seconds(c.Impact.Saved), c.Impact.Percentile, c.Impact.target())
		}
		return s + "."
	case status == rules.NoProblem:
		return "No operation was slow in this window, so no cause is named."
	case status == rules.RunUnusable:
		return "This run cannot be judged."
	}
	return "Something was slow, and the evidence does not suffice to say what made it so."
}

// sourceFlags are the sources that a complete account has, and how to add one.
var sourceFlags = []struct{ name, kinds, flag string }{
	{"prometheus", "metrics", "--prometheus URL"},
	{"traces", "traces", "--traces URL"},
	{"postgres", "the database's own account", "--postgres DSN"},
	{"load", "what the load tool saw", "--load FILE, or run the load through culprit run"},
}

// coverage lists every source with its gaps: those that were asked, those that
// only a gap speaks of, and those that nobody configured.
func coverage(b *evidence.Bundle) []Coverage {
	out := []Coverage{}
	for _, s := range b.Sources {
		out = append(out, Coverage{Source: s.Name, Status: s.Status, Target: s.Target, Version: s.Version, Protocol: s.Protocol,
			Requests: s.Requests, Items: s.Items, Seconds: s.Seconds, Subset: s.Subset, Notes: s.Notes, Gaps: []Gap{}})
	}
	find := func(name string) int {
		return slices.IndexFunc(out, func(c Coverage) bool { return c.Source == name })
	}
	for _, g := range b.Gaps {
		i := find(g.Source)
		if i < 0 {
			i = len(out)
			out = append(out, Coverage{Source: g.Source, Status: evidence.StatusAbsent, Gaps: []Gap{}})
		}
		out[i].Gaps = append(out[i].Gaps, Gap{Kinds: g.Kinds, Reason: g.Reason, Remedy: g.Remedy})
	}
	for _, s := range sourceFlags {
		if find(s.name) < 0 && !(s.name == "load" && len(b.Loads) > 0) {
			out = append(out, Coverage{Source: s.name, Status: evidence.StatusAbsent, Gaps: []Gap{{Kinds: []evidence.Kind{}, Reason: "not configured: " + s.kinds + " could not be seen", Remedy: "add " + s.flag}}})
		}
	}
	slices.SortStableFunc(out, func(x, y Coverage) int {
		return cmp.Or(cmp.Compare(sourceRank(x), sourceRank(y)), strings.Compare(x.Source, y.Source))
	})
	return out
}

func sourceRank(c Coverage) int {
	for i, s := range sourceFlags {
		if s.name == c.Source {
			return i
		}
	}
	return len(sourceFlags)
}
