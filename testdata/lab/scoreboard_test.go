package main

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/score"
)

func felt(p95, requests, failed float64) load.Summary {
	return load.Summary{Requests: requests, Failed: failed, Routes: []load.Route{{Route: "GET /orders", P95: p95}}}
}

func TestOnlyARunThatHurtsAndIsRightPasses(t *testing.T) {
	planted := scenario.Scenario{Name: "planted", Expect: &scenario.Cause{Rule: "r"}, MustHurt: &scenario.Hurting{Route: "GET /orders", Factor: 2}}
	good := line{scenario: planted, asked: true, right: true, verdict: score.Verdict{Rank: 1}, healthy: reference{Felt: felt(0.01, 100, 0)}, load: felt(0.02, 100, 0)}
	for _, test := range []struct {
		name   string
		change func(*line)
		passes bool
		says   string
	}{
		{"right", func(*line) {}, true, "ok"},
		{"too weak", func(l *line) { l.load = felt(0.019, 100, 0) }, false, "TOO WEAK"},
		{"too weak to tell on a busy machine", func(l *line) { l.load, l.healthy.Others = felt(0.019, 100, 0), 1 }, false, "machine too busy"},
		{"wrong cause", func(l *line) { l.right, l.verdict.Rank = false, 2 }, false, "WRONG"},
		{"refused requests", func(l *line) { l.load = felt(0.02, 100, 3) }, false, "LOAD INCOMPLETE"},
		{"not run", func(l *line) { l.notRun = "no cgroup" }, false, "NOT RUN: no cgroup"},
		{"nobody asked", func(l *line) { l.asked, l.right = false, false }, true, "not asked"},
		{"nothing to compare with", func(l *line) { l.healthy = reference{} }, true, "no healthy run"},
	} {
		l := good
		test.change(&l)
		var out strings.Builder
		board := newScoreboard(&out)
		board.add(l)
		if board.right() != test.passes || !strings.Contains(out.String(), test.says) {
			t.Errorf("%s: passes %v, want %v and %q in:\n%s", test.name, board.right(), test.passes, test.says, out.String())
		}
	}
}

func TestGainsArePrintedWithTheirMedian(t *testing.T) {
	var out strings.Builder
	board := newScoreboard(&out)
	for _, then := range []float64{0.011, 0.013, 0.02} {
		board.add(line{gain: &score.Gain{Now: 0.1, Then: then, Low: 0.085, High: 0.095, Healthy: 0.01}})
	}
	board.add(line{}) // one whose gain is not known
	board.print(true)
	for _, want := range []string{"13.0 ms, 10.0 ms, off by 30 %, saving by 3 %", "3 runs: median error 30 %; of the saving 3 %; 3 of the savings"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestADisturbedHealthyRunDoesNotReplaceAQuietOne(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	healthy := scenario.Scenario{Name: scenario.Healthy, Load: scenario.StandardLoad()}
	quiet, busy := cost{Idle: 1, Lab: 0.01}, cost{Idle: 0, Lab: 0.01}
	for _, run := range []struct {
		s    scenario.Scenario
		p95  float64
		cost cost
		want float64
	}{
		{healthy, 0.5, busy, 0.5},  // better than nothing
		{healthy, 0.1, quiet, 0.1}, // replaces it
		{healthy, 0.6, busy, 0.1},  // does not
		{healthy, 0.2, quiet, 0.2}, // as good, and newer
		{scenario.Scenario{Name: "x", Load: healthy.Load, Expect: &scenario.Cause{}}, 1, busy, 0.2}, // compares
		{scenario.Scenario{Name: "x", Expect: &scenario.Cause{}}, 1, busy, 0},                       // another load has no reference
	} {
		got, err := healthyLoad(run.s, felt(run.p95, 100, 0), run.cost)
		if err != nil {
			t.Fatal(err)
		}
		if p95 := got.Felt.P95Of("GET /orders"); p95 != run.want {
			t.Errorf("%s with %g: compared with %g, want %g", run.s.Name, run.p95, p95, run.want)
		}
	}
}
