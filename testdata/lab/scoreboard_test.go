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
	good := line{scenario: planted, asked: true, right: true, verdict: score.Verdict{Rank: 1}, healthy: felt(0.01, 100, 0), load: felt(0.02, 100, 0)}
	for _, test := range []struct {
		name   string
		change func(*line)
		passes bool
		says   string
	}{
		{"right", func(*line) {}, true, "ok"},
		{"too weak", func(l *line) { l.load = felt(0.019, 100, 0) }, false, "TOO WEAK"},
		{"wrong cause", func(l *line) { l.right, l.verdict.Rank = false, 2 }, false, "WRONG"},
		{"refused requests", func(l *line) { l.load = felt(0.02, 100, 3) }, false, "LOAD INCOMPLETE"},
		{"not run", func(l *line) { l.notRun = "no cgroup" }, false, "NOT RUN: no cgroup"},
		{"nobody asked", func(l *line) { l.asked, l.right = false, false }, true, "not asked"},
		{"nothing to compare with", func(l *line) { l.healthy = load.Summary{} }, true, "no healthy run"},
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
