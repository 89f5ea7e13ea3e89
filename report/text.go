package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

const textWidth = 100

// writeText is for reading as it stands: no markup, as wide as the terminal
// (else textWidth) where words allow, and coloured where it may be.
func writeText(w io.Writer, r *Report) error {
	t := text{r: r, term: terminalOf(w)}
	t.head()
	t.objectives()
	t.symptoms()
	t.modules()
	t.events()
	t.causes()
	t.headroom()
	t.unseen()
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	r    *Report
	term Terminal
}

func (t *text) f(format string, args ...any) { fmt.Fprintf(t, format, args...) }

func (t *text) head() {
	r := t.r
	t.f("%s\n%s\n", t.term.paint(strings.ToUpper(statusWord(r)), bold, statusInk(r)), t.painted(t.wrap(r.Verdict.Headline, 0), bold))
	t.f("%s\n\n", r.windowText(r.Window))
	for _, c := range r.Coverage {
		t.f("  %s %-11s %-9s %s\n", t.term.paint(coverageSign(c), coverageInk(c)), c.Source, coverageWord(c.Status), coverageDetail(c))
	}
	for _, l := range r.Loads {
		t.f("%s", t.indented("load "+strings.TrimSuffix(l.Tool+": "+loadText(l), ": "), "  "))
	}
}

func (t *text) symptoms() {
	t.heading(symptomsTitle(t.r))
	t.f("\n")
	if len(t.r.Symptoms) == 0 {
		t.f("  No operation was seen under load in this window.\n")
		return
	}
	name := t.nameWidth()
	rows := [][]string{{"", "operation", "req/s", "errors", "p50", "p95", "p99", "before"}}
	shown, more := t.r.inSight()
	for _, s := range shown {
		mark := " "
		if s.Slow {
			mark = "!"
		}
		rows = append(rows, []string{mark, shorten(operationName(s), name), digits(s.RPS), percent(s.ErrorRatio), orDash(s.P50), p95Text(s), orDash(s.P99), baselineText(s)})
	}
	if trend := t.trendWidth(rows); trend > 0 {
		rows[0] = append(rows[0], shorten("p95 over the run", trend))
		for i, s := range shown {
			rows[i+1] = append(rows[i+1], sparkOf(s, trend))
		}
	}
	t.table(rows, map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true, 7: true})
	if len(more) > 0 {
		t.f("  and %d more operations\n", len(more))
	}
	if s := slowText(t.r); s != "" {
		t.f("  %s\n", strings.Replace(s, "; shaded in the charts", "", 1))
	}
}

// nameWidth is the room for the names of operations: what the numbers leave.
func (t *text) nameWidth() int {
	const numbers = 56 // of the other columns, as wide as they usually are
	return min(max(t.term.Width-numbers, 16), 36)
}

// fewestTrend is the width from which a line in characters says something.
const fewestTrend = 10

// trendWidth is the room that a table leaves for the p95 over the run; 0 where
// there is too little.
func (t *text) trendWidth(rows [][]string) int {
	left := t.term.Width
	for _, w := range widths(rows) {
		left -= w + 2
	}
	if left = min(left, sparkWidth); left < fewestTrend {
		return 0
	}
	return left
}

// widths of a table's columns, in runes.
func widths(rows [][]string) []int {
	out := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			out[i] = max(out[i], utf8.RuneCountInString(c))
		}
	}
	return out
}

// ledger is where the milliseconds go: the longest lines, as bars.
func (t *text) ledger(c Cause) {
	const in, shown = "   ", 4
	l, by := t.r.ledger(&c)
	if l == nil || by > 0 {
		return
	}
	t.f("%s", t.indented("where a slow "+l.target()+" spends its "+seconds(l.TailTime)+":", in))
	for _, x := range first(l.Lines, shown) {
		t.f("%s%s %8s  %s\n", in, t.term.paint(blocks(x.TailTime/l.TailTime), yellow), seconds(x.TailTime), shorten(x.What+", "+ledgerKind(x), max(t.term.Width-26, 20)))
	}
}

func (t *text) causes() {
	t.heading("What made it slow")
	if len(t.r.Causes) == 0 {
		t.f("\n  %s\n", noCause(t.r))
	}
	for _, c := range t.r.Causes {
		t.cause(fmt.Sprintf("%d. ", c.Rank), c)
	}
	for _, n := range t.r.Notes {
		t.f("\n%s", t.indented(n, "  "))
	}
	if len(t.r.Leads) > 0 {
		t.heading("Best leads (not causes: the evidence does not suffice)")
	}
	for _, c := range t.r.Leads {
		t.cause("", c)
	}
}

func (t *text) cause(number string, c Cause) {
	t.f("\n%s", t.painted(t.indented(number+c.Title+": "+entityText(c.Subject), ""), bold))
	const in = "   "
	t.f("%s", t.indented(nowThen(c.Impact), in))
	t.f("%sevidence %s: %s\n", in, scoreText(c.Score), tallyText(c))
	t.para("", c.Finding)
	t.para("", t.r.onsetText(c.Onset))
	t.ledger(c)
	for _, e := range append(c.pros(), c.cons()...) {
		sign := accountSign(e)
		t.f("%s", strings.Replace(t.indented(sign+" "+e.Text, in), sign, t.term.paint(sign, signInk(e)), 1))
	}
	for _, s := range c.Remedy {
		t.f("%s", t.painted(t.indented("> "+s, in), green))
	}
	t.para("verify: ", c.Verify)
	t.para("not when: ", c.NotWhen)
	if q := c.proof(); q != nil {
		t.para(q.Source+": ", q.Text)
	}
}

// para is a paragraph of a cause; nothing where there is nothing to say.
func (t *text) para(label, s string) {
	if s != "" {
		t.f("%s", t.indented(label+s, "   "))
	}
}

func (t *text) heading(s string) { t.f("\n%s\n", t.term.paint(strings.ToUpper(s), bold)) }

// painted paints every line by itself, so that no colour runs over an end.
func (t *text) painted(s string, k ink) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = t.term.paint(lines[i], k)
	}
	return strings.Join(lines, "\n")
}

func statusInk(r *Report) ink {
	switch r.Verdict.Status {
	case rules.CausesFound:
		return red
	case rules.NoProblem:
		return green
	}
	return yellow
}

func coverageInk(c Coverage) ink {
	switch c.Status {
	case evidence.StatusOK:
		return green
	case evidence.StatusPartial:
		return yellow
	case evidence.StatusFailed:
		return red
	}
	return soft
}

func signInk(e Evidence) ink {
	return map[string]ink{"+": green, "−": red, "?": soft}[verdictMark(e)]
}

func (t *text) unseen() {
	gaps := t.r.gaps()
	if len(gaps) == 0 {
		return
	}
	t.heading("What could not be seen")
	t.f("\n")
	for _, g := range gaps {
		t.f("%s", t.indented(strings.TrimSuffix(g.Source+": "+g.Reason+"; "+g.Remedy, "; "), "  "))
	}
}

// table aligns cells; the columns in right are numbers.
func (t *text) table(rows [][]string, right map[int]bool) {
	width := widths(rows)
	for _, row := range rows {
		line := ""
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if right[i] {
				c = pad + c
			} else {
				c += pad
			}
			line += c + "  "
		}
		line = strings.TrimRight(line, " ")
		if row[0] == "!" {
			line = t.term.paint(line, red)
		}
		t.f("%s\n", line)
	}
}

// indented wraps a text below a margin; lines after the first hang by two.
func (t *text) indented(s, margin string) string { return margin + t.wrap(s, len(margin)+2) + "\n" }

// wrap breaks at spaces; lines after the first start with hang spaces.
func (t *text) wrap(s string, hang int) string {
	var b strings.Builder
	width := max(hang-2, 0)
	for i, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > t.term.Width:
			b.WriteString("\n" + strings.Repeat(" ", hang))
			width = hang
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	return b.String()
}

// symptomsTitle heads the operations: slow ones are what the reader came for.
func symptomsTitle(r *Report) string {
	if r.anySlow() {
		return "What was slow"
	}
	return "How the operations did"
}
