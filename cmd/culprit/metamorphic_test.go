package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/rules"
)

// The tests of this file change recorded evidence in ways whose effect on the
// judgement is known, whatever the judgement is.

func recordedBundle(t *testing.T, path string) *evidence.Bundle {
	t.Helper()
	b, err := bundle.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func judge(t *testing.T, b *evidence.Bundle) (*rules.Judgement, *analyzers.Result) {
	t.Helper()
	catalogue, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	r := analyzers.Run(b)
	return catalogue.Judge(b, r), r
}

// everyFormat of the report on a bundle.
func everyFormat(t *testing.T, b *evidence.Bundle) map[string]string {
	t.Helper()
	j, r := judge(t, b)
	built := report.Build(b, r, j, report.Options{Version: "golden"})
	out := map[string]string{}
	for _, f := range report.Formats {
		var text bytes.Buffer
		if err := f.Write(&text, built); err != nil {
			t.Fatal(err)
		}
		out[f.Name] = text.String()
	}
	return out
}

// onRecorded runs a test on every recorded bundle.
func onRecorded(t *testing.T, test func(t *testing.T, path string)) {
	t.Helper()
	for _, path := range recordedRuns(t) {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) { test(t, path) })
	}
}

// The order in which collectors finish and servers answer says nothing.
func TestOrderOfEvidenceChangesNothing(t *testing.T) {
	onRecorded(t, func(t *testing.T, path string) {
		want := everyFormat(t, recordedBundle(t, path))
		for seed := range uint64(2) {
			b := recordedBundle(t, path)
			shuffleBundle(b, rand.New(rand.NewPCG(seed, 7)))
			b.Sort()
			for name, text := range everyFormat(t, b) {
				if text != want[name] {
					t.Errorf("%s differs after shuffle %d: %s", name, seed, firstDifference(want[name], text))
				}
			}
		}
	})
}

func shuffle[T any](r *rand.Rand, list []T) {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

func shuffleBundle(b *evidence.Bundle, r *rand.Rand) {
	shuffle(r, b.Sources)
	shuffle(r, b.Gaps)
	shuffle(r, b.Series)
	shuffle(r, b.Histograms)
	shuffle(r, b.Spans)
	shuffle(r, b.Weights)
	shuffle(r, b.Postgres)
	shuffle(r, b.Loads)
	shuffle(r, b.Events)
	for i := range b.Postgres {
		p := &b.Postgres[i]
		shuffle(r, p.Statements)
		shuffle(r, p.Tables)
		shuffle(r, p.Indexes)
		shuffle(r, p.Activity)
		shuffle(r, p.Blocking)
		shuffle(r, p.Advice)
		shuffle(r, p.Holders)
		shuffle(r, p.Unindexed)
		shuffle(r, p.Sequences)
		shuffle(r, p.Replicas)
		shuffle(r, p.Partitions)
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d\n- %.300s\n+ %.300s", i+1, w[i], g[min(i, len(g)-1)])
		}
	}
	return "it is longer"
}

// physical are the rules that weigh what does not scale with a system, and why.
// Ten times slower they may be found where they were not, or not where they
// were, and their gain is another; every other rule keeps its rank.
var physical = map[string]string{
	"chatty-calls":     "a round trip is a matter of the wire: a call that takes 5 ms or more is work, however slow the system",
	"connection-churn": "a session costs the server a fork and an authentication, milliseconds of a core: it counts by the second, and of so many a second ten times slower a tenth is left",
	"network-latency":  "between two services of a site lie less than 2 ms: what takes more is laid to the network, however slow the system",
}

// A run in which all took ten times as long, at a tenth of the rate, has the
// same causes in the same order, and ten times the figures. What is absolute by
// intent does not scale: the rules in physical; what counts as slow (1 s, and 20
// ms above a baseline: what people notice), so that only operations are compared
// of which both runs say the same; and that nobody feels 5 ms, so that a cause
// that saves less may appear. Figures are compared where both runs name the same
// operation: which of several is slowed most may be a close call. They agree to
// 2 %: a driver's work after a call (1 ms) is absolute.
func TestTimesScale(t *testing.T) {
	var withCauses, compared int
	onRecorded(t, func(t *testing.T, path string) {
		plain, r := judge(t, recordedBundle(t, path))
		b := recordedBundle(t, path)
		stretch(b, 10)
		b.Sort()
		slow, rs := judge(t, b)
		alike := func(e evidence.Entity) bool { return isSlow(r, e) == isSlow(rs, e) }
		was, is := scaling(causesOf(plain, alike)), scaling(causesOf(slow, alike))
		is = slices.DeleteFunc(is, func(h *rules.Hypothesis) bool { return h.Impact.Saved() < 10*0.005 })
		if ranks(was) != ranks(is) {
			t.Fatalf("ten times slower the causes are\n%s\nand not\n%s", ranks(is), ranks(was))
		}
		withCauses += min(1, len(plain.Causes))
		compared += min(1, len(was))
		for i, c := range was {
			s := is[i]
			if c.Impact.Operation != s.Impact.Operation {
				continue
			}
			for name, pair := range map[string][2]float64{"now": {c.Impact.Now, s.Impact.Now}, "then": {c.Impact.Then, s.Impact.Then}} {
				if math.Abs(pair[1]-10*pair[0]) > 0.02*10*c.Impact.Now {
					t.Errorf("%s: %s is %.4f s, ten times slower %.4f s", c.Rule.ID, name, pair[0], pair[1])
				}
			}
			if math.Abs(c.Score-s.Score) > 0.1 {
				t.Errorf("%s: score %.2f, ten times slower %.2f", c.Rule.ID, c.Score, s.Score)
			}
		}
	})
	if 2*compared < withCauses {
		t.Errorf("only %d of %d runs had a cause to compare", compared, withCauses)
	}
}

// scaling leaves out the causes that do not scale.
func scaling(causes []*rules.Hypothesis) []*rules.Hypothesis {
	return slices.DeleteFunc(causes, func(h *rules.Hypothesis) bool { return physical[h.Rule.ID] != "" })
}

func isSlow(r *analyzers.Result, e evidence.Entity) bool {
	s := r.Facts.Symptom(e.Service, e.Operation)
	return s != nil && s.Slow
}

// causesOf a judgement that gain something for an operation that counts, those
// that others explain after them.
func causesOf(j *rules.Judgement, counts func(evidence.Entity) bool) (out []*rules.Hypothesis) {
	var nested []*rules.Hypothesis
	for _, c := range j.Causes {
		if counts(c.Impact.Operation) {
			out = append(out, c)
		} else {
			nested = append(nested, c.Explains...)
		}
	}
	for _, c := range nested {
		if counts(c.Impact.Operation) {
			out = append(out, c)
		}
	}
	return out
}

func ranks(causes []*rules.Hypothesis) string {
	var out []string
	for _, c := range causes {
		out = append(out, c.Rule.ID+" at "+c.Subject.String())
	}
	return strings.Join(out, "\n")
}

// stretch makes everything last k times as long from the window's start on.
func stretch(b *evidence.Bundle, k int64) {
	zero, f := b.Window.Start, float64(k)
	ms := func(at int64) int64 { return zero.UnixMilli() + k*(at-zero.UnixMilli()) }
	ns := func(at int64) int64 { return zero.UnixNano() + k*(at-zero.UnixNano()) }
	when := func(at time.Time) time.Time { return zero.Add(time.Duration(k) * at.Sub(zero)) }
	b.Window.End = when(b.Window.End)
	if b.Baseline != nil {
		b.Baseline.Start, b.Baseline.End = when(b.Baseline.Start), when(b.Baseline.End)
	}
	for i := range b.Spans {
		b.Spans[i].Start, b.Spans[i].End = ns(b.Spans[i].Start), ns(b.Spans[i].End)
	}
	for i := range b.Series {
		stretchSeries(&b.Series[i], f, ms)
	}
	for i := range b.Histograms {
		stretchHistogram(&b.Histograms[i], f, ms)
	}
	for i := range b.Events {
		b.Events[i].At = ms(b.Events[i].At)
	}
	for i := range b.Loads {
		stretchLoad(&b.Loads[i], f, ms)
	}
	for i := range b.Postgres {
		stretchPostgres(&b.Postgres[i], f, ms)
	}
}

// stretchSeries: a quantity a second is a tenth, seconds are ten times as many;
// seconds a second, shares and levels stay.
func stretchSeries(s *evidence.Series, f float64, ms func(int64) int64) {
	factor := 1.0
	switch {
	case s.Unit == "s" && s.Kind == evidence.Restarts: // a point in time
		factor = 1
	case s.Unit == "s":
		factor = f
	case strings.HasSuffix(s.Unit, "/s") && s.Unit != "s/s":
		factor = 1 / f
	}
	s.Over *= f
	for i := range s.Times {
		s.Times[i] = ms(s.Times[i])
		s.Values[i] *= factor
	}
}

func stretchHistogram(h *evidence.Histogram, f float64, ms func(int64) int64) {
	h.Over *= f
	for i := range h.Bounds {
		h.Bounds[i] *= f
	}
	for i := range h.Times {
		h.Times[i] = ms(h.Times[i])
		for k := range h.Rates[i] {
			h.Rates[i][k] /= f
		}
	}
}

func stretchLoad(l *evidence.LoadRun, f float64, ms func(int64) int64) {
	l.Start, l.End = ms(l.Start), ms(l.End)
	for i := range l.Stages {
		l.Stages[i].Start, l.Stages[i].End = ms(l.Stages[i].Start), ms(l.Stages[i].End)
	}
	for i := range l.Requests {
		r := &l.Requests[i]
		r.P50, r.P95, r.P99, r.Max = f*r.P50, f*r.P95, f*r.P99, f*r.Max
	}
}

func stretchPostgres(p *evidence.Postgres, f float64, ms func(int64) int64) {
	p.Since, p.Until, p.Tick = ms(p.Since), ms(p.Until), f*p.Tick
	for i := range p.Statements {
		s := &p.Statements[i]
		for _, v := range []*float64{&s.Exec, &s.Plan, &s.StddevExec, &s.ReadTime, &s.WriteTime, &s.TempTime, &s.JIT} {
			*v *= f
		}
	}
	if d := p.Database; d != nil {
		for _, v := range []*float64{&d.ReadTime, &d.ActiveTime, &d.IdleInTx, &d.WALSyncTime} {
			*v *= f
		}
	}
	if c := p.Cluster; c != nil {
		c.CheckpointWrite, c.CheckpointSync = f*c.CheckpointWrite, f*c.CheckpointSync
	}
	for i := range p.Activity {
		p.Activity[i].At = ms(p.Activity[i].At)
	}
	for i := range p.Blocking {
		p.Blocking[i].MaxWait, p.Blocking[i].MaxBlockerTx = f*p.Blocking[i].MaxWait, f*p.Blocking[i].MaxBlockerTx
	}
	for i := range p.Holders {
		p.Holders[i].Held *= f
	}
}

// To see less never makes surer. A flaw of the run that the load tool alone tells
// of caps every score, and who does not know of it cannot: who loses the load
// tool is held against the judgement without the flaw.
func TestLosingASourceRaisesNoScore(t *testing.T) {
	onRecorded(t, func(t *testing.T, path string) {
		full, result := judge(t, recordedBundle(t, path))
		for name, lose := range map[string]func(*evidence.Bundle){
			"traces":     func(b *evidence.Bundle) { b.Spans, b.Weights = nil, nil },
			"prometheus": func(b *evidence.Bundle) { b.Series, b.Histograms = seriesOfPostgres(b), nil },
			"postgres":   func(b *evidence.Bundle) { b.Series, b.Postgres = withoutSeries(b, seriesOfPostgres(b)), nil },
			"load":       func(b *evidence.Bundle) { b.Loads = nil },
		} {
			b, with := recordedBundle(t, path), full
			lose(b)
			if name == "load" && len(full.Flaws) > 0 {
				with = judgeWithoutFlaws(t, recordedBundle(t, path), result, full)
			}
			less, _ := judge(t, b)
			for _, c := range less.Causes {
				if best, known := bestScore(with, c.Rule.ID); known && c.Score > best+1e-9 {
					t.Errorf("without %s the score of %s at %s rises from %.3f to %.3f", name, c.Rule.ID, c.Subject, best, c.Score)
				}
			}
		}
	})
}

// judgeWithoutFlaws takes the findings of a run's flaws out of a result.
func judgeWithoutFlaws(t *testing.T, b *evidence.Bundle, r *analyzers.Result, full *rules.Judgement) *rules.Judgement {
	t.Helper()
	flaws := map[analyzers.Kind]bool{}
	for _, h := range full.Flaws {
		flaws[h.Finding.Kind] = true
	}
	sound := *r
	sound.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f analyzers.Finding) bool { return flaws[f.Kind] })
	catalogue, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	return catalogue.Judge(b, &sound)
}

// seriesOfPostgres are those that the PostgreSQL collector itself took.
func seriesOfPostgres(b *evidence.Bundle) (out []evidence.Series) {
	for _, s := range b.Series {
		if strings.Contains(s.Query, "/* culprit */") || strings.HasPrefix(s.Query, "SHOW ") {
			out = append(out, s)
		}
	}
	return out
}

func withoutSeries(b *evidence.Bundle, gone []evidence.Series) (out []evidence.Series) {
	drop := map[string]bool{}
	for _, s := range gone {
		drop[string(s.Kind)+s.Query] = true
	}
	for _, s := range b.Series {
		if !drop[string(s.Kind)+s.Query] {
			out = append(out, s)
		}
	}
	return out
}

// bestScore that a rule has anywhere in a judgement, and whether it has one: a
// hypothesis that was rejected for its gain has none.
func bestScore(j *rules.Judgement, rule string) (best float64, known bool) {
	var look func(list []*rules.Hypothesis)
	look = func(list []*rules.Hypothesis) {
		for _, h := range list {
			if h.Rule.ID == rule {
				best, known = max(best, h.Score), true
			}
			look(h.Explains)
		}
	}
	look(j.Causes)
	look(j.Leads)
	look(j.Housekeeping)
	var weighed float64
	for _, r := range j.Rejected {
		if n, _ := fmt.Sscanf(r.Reason, "the evidence weighs %f,", &weighed); r.Rule == rule && n == 1 {
			best, known = max(best, weighed), true
		}
	}
	return best, known
}
