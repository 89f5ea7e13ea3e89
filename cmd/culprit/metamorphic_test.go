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
