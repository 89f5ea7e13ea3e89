package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const textWidth = 100

// writeText is for a terminal without colour: no markup, at most textWidth
// wide where words allow.
func writeText(w io.Writer, r *Report) error {
	t := text{r: r}
	t.head()
	t.symptoms()
	t.causes()
	t.unseen()
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	r *Report
}

func (t *text) f(format string, args ...any) { fmt.Fprintf(t, format, args...) }

func (t *text) head() {
	r := t.r
	t.f("%s\n%s\n", strings.ToUpper(statusWord(r)), wrap(r.Verdict.Headline, 0))
	t.f("%s\n\n", r.windowText(r.Window))
	for _, c := range r.Coverage {
		t.f("  %s %-11s %-9s %s\n", coverageSign(c), c.Source, coverageWord(c.Status), coverageDetail(c))
	}
	for _, l := range r.Loads {
		t.f("%s", indented("load "+strings.TrimSuffix(l.Tool+": "+loadText(l), ": "), "  "))
	}
}

func (t *text) symptoms() {
	t.f("\n%s\n\n", strings.ToUpper(symptomsTitle(t.r)))
	if len(t.r.Symptoms) == 0 {
		t.f("  No operation was seen under load in this window.\n")
		return
	}
	rows := [][]string{{"", "operation", "req/s", "errors", "p50", "p95", "p99", "before", "p95 over the run"}}
	shown, more := t.r.inSight()
	for _, s := range shown {
		mark := " "
		if s.Slow {
			mark = "!"
		}
		rows = append(rows, []string{mark, shorten(operationName(s), 36), digits(s.RPS), percent(s.ErrorRatio), orDash(s.P50), p95Text(s), orDash(s.P99), baselineText(s), sparkOf(s)})
	}
	t.table(rows, map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true, 7: true})
	if len(more) > 0 {
		t.f("  and %d more operations\n", len(more))
	}
	if s := slowText(t.r); s != "" {
		t.f("  %s\n", strings.Replace(s, "; shaded in the charts", "", 1))
	}
}

func (t *text) causes() {
	t.f("\nWHAT MADE IT SLOW\n")
	if len(t.r.Causes) == 0 {
		t.f("\n  %s\n", noCause(t.r))
	}
	for _, c := range t.r.Causes {
		t.cause(fmt.Sprintf("%d. ", c.Rank), c)
	}
	for _, n := range t.r.Notes {
		t.f("\n%s", indented(n, "  "))
	}
	if len(t.r.Leads) > 0 {
		t.f("\nBEST LEADS (not causes: the evidence does not suffice)\n")
	}
	for _, c := range t.r.Leads {
		t.cause("", c)
	}
}

func (t *text) cause(number string, c Cause) {
	t.f("\n%s", indented(number+c.Title+": "+entityText(c.Subject), ""))
	const in = "   "
	t.f("%s", indented(nowThen(c.Impact), in))
	t.f("%sevidence %s: %s\n", in, scoreText(c.Score), tallyText(c))
	if c.Finding != "" {
		t.f("%s", indented(c.Finding, in))
	}
	for _, e := range append(c.pros(), c.cons()...) {
		t.f("%s", indented(accountSign(e)+" "+e.Text, in))
	}
	for _, s := range c.Remedy {
		t.f("%s", indented("> "+s, in))
	}
	if c.Verify != "" {
		t.f("%s", indented("verify: "+c.Verify, in))
	}
	if c.NotWhen != "" {
		t.f("%s", indented("not when: "+c.NotWhen, in))
	}
	if q := c.proof(); q != nil {
		t.f("%s", indented(q.Source+": "+q.Text, in))
	}
}

func (t *text) unseen() {
	gaps := t.r.gaps()
	if len(gaps) == 0 {
		return
	}
	t.f("\nWHAT COULD NOT BE SEEN\n\n")
	for _, g := range gaps {
		t.f("%s", indented(strings.TrimSuffix(g.Source+": "+g.Reason+"; "+g.Remedy, "; "), "  "))
	}
}

// table aligns cells; the columns in right are numbers.
func (t *text) table(rows [][]string, right map[int]bool) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
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
		t.f("%s\n", strings.TrimRight(line, " "))
	}
}

// indented wraps a text below a margin; lines after the first hang by two.
func indented(s, margin string) string { return margin + wrap(s, len(margin)+2) + "\n" }

// wrap breaks at spaces; lines after the first start with hang spaces.
func wrap(s string, hang int) string {
	var b strings.Builder
	width := max(hang-2, 0)
	for i, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > textWidth:
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
