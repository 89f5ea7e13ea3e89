package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/score"
)

// line of the scoreboard: one run.
type line struct {
	scenario scenario.Scenario
	handicap string // "": full sight
	notRun   string // why it could not run
	asked    bool   // culprit was
	right    bool
	status   string
	verdict  score.Verdict
	gain     *score.Gain // nil: not known
	load     load.Summary
	healthy  reference
	cost     cost
	seconds  float64 // from nothing to the verdict
}

// scoreboard collects lines and prints them as one table.
type scoreboard struct {
	out   io.Writer
	lines []line
}

func newScoreboard(out io.Writer) *scoreboard { return &scoreboard{out: out} }

// add keeps a line and prints what the clients felt on each route.
func (b *scoreboard) add(l line) {
	b.lines = append(b.lines, l)
	if l.notRun == "" {
		b.printRoutes(l)
	}
	b.table([]line{l})
}

// print prints the table of all runs, if there are several.
func (b *scoreboard) print(several bool) {
	if several {
		b.table(b.lines)
		b.printGains()
	}
}

// printGains says how well the reports knew what fixing would buy.
func (b *scoreboard) printGains() {
	var off, savings []float64
	inside := 0
	for _, l := range b.lines {
		if l.gain == nil {
			continue
		}
		off, savings = append(off, l.gain.Off()), append(savings, l.gain.SavingOff())
		if l.gain.Inside() {
			inside++
		}
	}
	if len(off) > 0 {
		fmt.Fprintf(b.out, "\npredicted p95 without the fault, %d runs: median error %.0f %%; of the saving %.0f %%; %d of the savings measured lie within the interval stated\n",
			len(off), 100*score.Median(off), 100*score.Median(savings), inside)
	}
}

func (b *scoreboard) printRoutes(l line) {
	w := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\trequests\tp50\tp95\tp99\tmax\tp95 healthy\n", l.name())
	for _, r := range l.load.Routes {
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%s\t%s\n", r.Route, r.Count, ms(r.P50), ms(r.P95), ms(r.P99), ms(r.Max), ms(l.healthy.Felt.P95Of(r.Route)))
	}
	_ = w.Flush() // the terminal is gone: nobody to tell
	fmt.Fprintf(b.out, "%.0f requests, %.0f failed, %.0f iterations dropped\n\n", l.load.Requests, l.load.Failed, l.load.Dropped)
}

func (b *scoreboard) table(lines []line) {
	w := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tresult\tplanted\trank\tfalse causes\tp95\tp95 without it: predicted, measured\tidle\tcores: lab, load, others\tseconds")
	for _, l := range lines {
		if l.notRun != "" {
			fmt.Fprintf(w, "%s\tNOT RUN: %s\n", l.name(), l.notRun)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f %%\t%.2f, %.2f, %.2f\t%.0f\n",
			l.name(), l.result(), l.planted(), l.rank(), l.falseCauses(), l.hurt(), l.promise(), 100*l.cost.Idle, l.cost.Lab, l.cost.Load, l.cost.others(), l.seconds)
	}
	_ = w.Flush() // as above
}

// right says whether every run was diagnosed as it should be. A run that did
// not happen is not right; one where culprit was not asked only has to hurt.
func (b *scoreboard) right() bool {
	for _, l := range b.lines {
		if !l.passed() {
			return false
		}
	}
	return true
}

func (l line) passed() bool {
	return l.notRun == "" && l.complete() && l.hurts() && (l.right || !l.asked)
}

// complete says whether the load was what the scenario asked for: a generator
// that starts too few requests, or a shop that refuses them, hides latency.
func (l line) complete() bool {
	return l.scenario.Flaw != "" || l.load.Dropped+l.load.Failed <= 0.02*l.load.Requests
}

func (l line) result() string {
	switch {
	case !l.complete():
		return "LOAD INCOMPLETE"
	case !l.hurts() && max(l.healthy.Others, l.cost.others()) > disturbed:
		return "TOO WEAK (or the machine too busy to tell)"
	case !l.hurts():
		return "TOO WEAK"
	case !l.asked:
		return "not asked"
	case l.right:
		return "ok"
	}
	return "WRONG (" + l.status + ")"
}

func (l line) name() string {
	if l.handicap == "" {
		return l.scenario.Name
	}
	return l.scenario.Name + ", " + l.handicap
}

func (l line) planted() string {
	if l.scenario.Expect == nil {
		return "nothing"
	}
	names := l.scenario.Expect.Rule
	for _, other := range l.scenario.Pair {
		names += " and " + other.Rule
	}
	return names
}

func (l line) rank() string {
	if !l.asked || l.scenario.Expect == nil {
		return "-"
	}
	rank := fmt.Sprint(l.verdict.Rank)
	if l.verdict.Rank == 0 {
		rank = "absent"
	}
	for _, other := range l.verdict.Lacks {
		rank += ", without " + other
	}
	return rank
}

func (l line) falseCauses() string {
	if len(l.verdict.False) == 0 {
		return "-"
	}
	return strings.Join(l.verdict.False, ", ")
}

// hurts says whether p95 of the route grew as the scenario demands. Without a
// healthy run to compare with it is taken on trust.
func (l line) hurts() bool {
	factor, known := l.factor()
	return !known || factor >= l.scenario.MustHurt.Factor
}

func (l line) factor() (factor float64, known bool) {
	if l.scenario.MustHurt == nil {
		return 0, false
	}
	before := l.healthy.Felt.P95Of(l.scenario.MustHurt.Route)
	if before == 0 {
		return 0, false
	}
	return l.load.P95Of(l.scenario.MustHurt.Route) / before, true
}

func (l line) hurt() string {
	factor, known := l.factor()
	switch {
	case l.scenario.MustHurt == nil:
		return "-"
	case !known:
		return "no healthy run to compare with"
	}
	route := l.scenario.MustHurt.Route
	return fmt.Sprintf("%s %s from %s, x%.1f", route, ms(l.load.P95Of(route)), ms(l.healthy.Felt.P95Of(route)), factor)
}

// promise is the p95 that the report says there would be, and what there is
// with the fault off.
func (l line) promise() string {
	if l.gain == nil {
		return "-"
	}
	return fmt.Sprintf("%s, %s, off by %.0f %%, saving by %.0f %%", ms(l.gain.Then), ms(l.gain.Healthy), 100*l.gain.Off(), 100*l.gain.SavingOff())
}

// ms prints seconds for people.
func ms(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }
