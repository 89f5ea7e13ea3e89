package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// scoreboard is what all runs add up to.
type scoreboard struct{ outcomes []outcome }

func (s *scoreboard) markdown(to io.Writer) error {
	p := &printer{to: to}
	p.f("# Scoreboard\n\nHow often culprit names what was planted. Written by `make scoreboard`; every run was recorded live by the lab and is judged by the present rules. A handicap takes a witness away from the recorded run, unless the lab recorded it so (+).\n")
	s.repeatLine(p)
	s.handicapTable(p)
	s.gainLines(p)
	s.reliabilityTable(p)
	p.f("\nA score is the weight of the evidence, not a probability: the table says how often causes that were scored alike were right.\n")
	s.runTable(p)
	return p.err
}

// repeatLine says which scenarios were run more than once.
func (s *scoreboard) repeatLine(p *printer) {
	runs := map[string]int{}
	for _, o := range s.of("") {
		runs[o.run.scenario]++
	}
	var often []string
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		if n := runs[name]; n > 1 {
			often = append(often, fmt.Sprintf("%s %d times", name, n))
		}
	}
	if len(often) > 0 {
		p.f("\nRun more than once: %s.\n", strings.Join(often, ", "))
	}
}

// of gives the outcomes under one handicap.
func (s *scoreboard) of(handicap string) []outcome {
	var some []outcome
	for _, o := range s.outcomes {
		if o.handicap == handicap {
			some = append(some, o)
		}
	}
	return some
}

// accuracy over runs: AC@k is the share of planted faults whose cause stands
// among the first k (the measure of the RCAEval benchmark).
type accuracy struct {
	faults, sound int // runs with a planted fault, and without
	first, top    float64
	meanRank      float64 // of those found
	untrue        int     // causes that were not planted
	falsely       int     // sound runs with a cause
	abstained     int     // faults not found, and no other cause said

	visible      int     // faults that what is left shows
	visibleFirst float64 // AC@1 of those
	hidden, told int     // faults that it does not show, and where the verdict says what is missing
	hiddenFalse  int     // of the hidden: another cause said that is none
}

func accuracyOf(outcomes []outcome) accuracy {
	var a accuracy
	var found, ranks float64
	for _, o := range outcomes {
		a.untrue += len(o.untrue)
		if o.run.planted.Expect == nil {
			a.sound++
			a.falsely += int(is(len(o.untrue) > 0))
			continue
		}
		a.faults++
		a.first += is(o.rank == 1)
		a.top += is(o.rank >= 1 && o.rank <= 3)
		a.abstained += int(is(o.rank == 0 && len(o.untrue) == 0))
		a.look(o)
		found += is(o.rank > 0)
		ranks += float64(o.rank)
	}
	n := max(1, float64(a.faults))
	a.first, a.top, a.meanRank = a.first/n, a.top/n, ranks/max(1, found)
	a.visibleFirst /= max(1, float64(a.visible))
	return a
}

// look counts a fault by what can be seen of it.
func (a *accuracy) look(o outcome) {
	if o.visible {
		a.visible++
		a.visibleFirst += is(o.rank == 1)
		return
	}
	a.hidden++
	a.told += int(is(o.told))
	a.hiddenFalse += int(is(len(o.untrue) > 0))
}

func (s *scoreboard) handicapTable(p *printer) {
	p.f("\n| sight | faults | AC@1 | AC@3 | mean rank | abstained | false causes | visible | AC@1 of them | hidden | said what is missing | with a false cause | sound runs | with a false cause |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, h := range s.handicaps() {
		a := accuracyOf(s.of(h))
		p.f("| %s | %d | %.2f | %.2f | %.1f | %d | %d | %d | %.2f | %d | %d | %d | %d | %d |\n", cmp.Or(h, "full"), a.faults, a.first, a.top, a.meanRank, a.abstained, a.untrue,
			a.visible, a.visibleFirst, a.hidden, a.told, a.hiddenFalse, a.sound, a.falsely)
	}
	s.rankerRows(p)
	p.f("\nA fault is visible where one of the witnesses left shows its mechanism: testdata/scoreboard/sight.yaml says which do, whatever culprit finds. Of a hidden one a verdict must say what it could not look at.\n")
}

// rankerRows puts the simple rankers below, over the runs with full sight.
func (s *scoreboard) rankerRows(p *printer) {
	sums := map[string]*chance{}
	var n float64
	var names []string
	for _, o := range s.of("") {
		n += is(len(o.rankers) > 0)
		for _, r := range o.rankers {
			if sums[r.ranker] == nil {
				sums[r.ranker] = &chance{}
				names = append(names, r.ranker)
			}
			sums[r.ranker].first += r.first
			sums[r.ranker].top += r.top
		}
	}
	for _, name := range names {
		p.f("| *%s* | %.0f | %.2f | %.2f | | | | | | | | | | |\n", name, n, sums[name].first/n, sums[name].top/n)
	}
}

// handicaps that occur, full sight first.
func (s *scoreboard) handicaps() []string {
	var names []string
	for _, o := range s.outcomes {
		if !slices.Contains(names, o.handicap) {
			names = append(names, o.handicap)
		}
	}
	slices.SortStableFunc(names, func(x, y string) int { return int(is(x != "")) - int(is(y != "")) })
	return names
}

// gains of the runs with full sight.
func (s *scoreboard) gains() []gain {
	var all []gain
	for _, o := range s.of("") {
		if o.gain != nil {
			all = append(all, *o.gain)
		}
	}
	slices.SortFunc(all, func(x, y gain) int { return cmp.Compare(x.err(), y.err()) })
	return all
}

func (s *scoreboard) gainLines(p *printer) {
	gains := s.gains()
	if len(gains) == 0 {
		return
	}
	p.f("\nPredicted gain against the p95 of the healthy run at the same load, both of traced requests: median error %.0f %% over %d runs; %d of %d measured gains lie in the stated interval, of which half are narrower than %.0f %% of the gain.\n",
		100*gains[len(gains)/2].err(), len(gains), covered(gains), len(gains), 100*medianWidth(gains))
}

// covered counts the measured gains that lie in the stated interval.
func covered(gains []gain) (inside int) {
	for _, g := range gains {
		inside += int(is(g.inside()))
	}
	return inside
}

// medianWidth of the stated intervals, as a share of the predicted gain.
func medianWidth(gains []gain) float64 {
	widths := make([]float64, len(gains))
	for i, g := range gains {
		widths[i] = (g.high - g.low) / (g.now - g.then)
	}
	slices.Sort(widths)
	return widths[len(widths)/2]
}

// reliabilityTable says of the causes scored alike how many were right.
func (s *scoreboard) reliabilityTable(p *printer) {
	p.f("\n| score | causes | right |\n|---|--:|--:|\n")
	for low := 0.5; low < 0.95; low += 0.1 {
		high := low + 0.1
		all, right := 0, 0.0
		for _, o := range s.outcomes {
			for _, b := range o.believed {
				if b.score >= low-1e-9 && (b.score < high-1e-9 || high > 0.95) {
					all++
					right += is(b.right)
				}
			}
		}
		if all > 0 {
			p.f("| %.1f to %.1f | %d | %.0f %% |\n", low, high, all, 100*right/float64(all))
		}
	}
}

func (s *scoreboard) runTable(p *printer) {
	p.f("\n| run | planted | visible | rank | verdict | false causes | error of the gain |\n|---|---|---|--:|---|---|--:|\n")
	for _, o := range s.outcomes {
		p.f("| %s | %s | %s | %s | %s | %s | %s |\n", o.name(), o.plantedText(), o.visibleText(), o.rankText(), o.status, strings.Join(o.untrue, "; "), o.gainText())
	}
}

func (o outcome) plantedText() string {
	if o.run.planted.Expect == nil {
		return "nothing"
	}
	return o.run.planted.Expect.Rule
}

func (o outcome) visibleText() string {
	switch {
	case o.run.planted.Expect == nil:
		return ""
	case o.visible:
		return "yes"
	}
	return "no"
}

func (o outcome) rankText() string {
	switch {
	case o.run.planted.Expect == nil:
		return ""
	case o.rank == 0:
		return "absent"
	}
	return fmt.Sprint(o.rank)
}

func (o outcome) gainText() string {
	if o.gain == nil {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*o.gain.err())
}
