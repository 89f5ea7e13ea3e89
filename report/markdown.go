package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// markdownBudget is in bytes, below the 65,536 characters that a GitHub
// comment takes.
const markdownBudget = 60_000

// detail is how much of a report a text says. Where it does not fit, the
// ladder takes away what is needed last.
type detail struct {
	method, queries, charts, rejected, proof bool
	causes                                   int // shown in full
	account                                  int // lines of evidence a cause
	rows                                     int // of symptoms, gaps and rejected
	name                                     string
}

var ladder = []detail{
	{true, true, true, true, true, 20, 40, 60, ""},
	{false, true, true, true, true, 20, 40, 60, "the method"},
	{false, false, true, true, true, 20, 40, 60, "the method and all queries but the first"},
	{false, false, false, true, true, 20, 40, 60, "the method, the charts and all queries but the first"},
	{false, false, false, false, true, 5, 20, 30, "the method, the charts, all queries but the first, what was rejected and the lower ranks"},
	{false, false, false, false, false, 2, 6, 8, "all but the first causes and their strongest evidence"},
	{false, false, false, false, false, 0, 0, 3, "all but the verdict and the ranking"},
}

// writeMarkdown is GitHub's flavour, as long as a comment may be.
func writeMarkdown(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, markdownWithin(r, ladder, markdownBudget, false))
	return err
}

// gitLabBudget is in bytes, below the 1,000,000 characters that GitLab takes
// in a note.
const gitLabBudget = 900_000

// writeGitLab is GitHub's flavour with the room that GitLab gives. What only
// GitLab reads as markup (quick actions, references, inline diffs) is escaped
// in every flavour.
func writeGitLab(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, markdownWithin(r, ladder, gitLabBudget, false))
	return err
}

// writeCommonMark is for wikis and trackers that know neither tables nor HTML.
func writeCommonMark(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, markdownWithin(r, ladder, markdownBudget, true))
	return err
}

// writeBrief is one page for an incident: the verdict, the causes, what to do.
func writeBrief(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, markdownWithin(r, []detail{{false, false, false, false, true, 1, 6, 5, "all but the first cause"}, ladder[len(ladder)-1]}, 6_000, false))
	return err
}

// markdownWithin says as much as fits.
func markdownWithin(r *Report, steps []detail, budget int, flat bool) string {
	text := ""
	for _, d := range steps {
		m := markdown{r: r, d: d, flat: flat}
		if text = m.document(); len(text) <= budget {
			return text
		}
	}
	return cutLines(text, budget)
}

// cutLines drops whole lines from the end. The last rung of the ladder has no
// fence and no open element, so that what is left is well-formed.
func cutLines(text string, budget int) string {
	const note = "\n*Cut here: the rest is in the HTML and JSON reports.*\n"
	cut := text[:budget-len(note)]
	return cut[:strings.LastIndexByte(cut, '\n')+1] + note
}

// markdown writes one document. Every text that came from the report goes
// through text, code or fence.
type markdown struct {
	strings.Builder
	r    *Report
	d    detail
	flat bool // CommonMark alone: neither tables nor HTML
}

func (m *markdown) document() string {
	m.head()
	m.ranking()
	m.objectives()
	m.symptoms()
	m.modules()
	m.events()
	for i, c := range m.r.Causes {
		if i < m.d.causes {
			m.cause(c, fmt.Sprintf("%d. %s", c.Rank, mdText(c.Title)))
		}
	}
	m.leads()
	m.headroom()
	m.unseen()
	m.rejected()
	m.housekeeping()
	m.method()
	return m.String()
}

func (m *markdown) f(format string, args ...any) { fmt.Fprintf(m, format, args...) }

func (m *markdown) head() {
	r := m.r
	m.f("# %s\n\n", mdText(r.Verdict.Headline))
	m.f("**%s** · %s\n\n", mdText(statusWord(r)), mdText(r.windowText(r.Window)))
	var strip []string
	for _, c := range r.Coverage {
		s := mdText(c.Source) + " " + coverageSign(c) + " " + coverageWord(c.Status)
		if d := coverageDetail(c); d != "" {
			s += " (" + d + ")"
		}
		strip = append(strip, s)
	}
	m.f("Sources: %s\n", strings.Join(strip, " · "))
	for _, l := range r.Loads {
		m.f("\nLoad: %s", mdCode(l.Tool))
		if t := loadText(l); t != "" {
			m.f(", %s", mdText(t))
		}
		m.f("\n")
	}
	if m.d.name != "" {
		m.f("\n*Left out here: %s. The HTML and JSON reports have everything.*\n", m.d.name)
	}
}

func (m *markdown) symptoms() {
	m.f("\n## %s\n\n", symptomsTitle(m.r))
	if len(m.r.Symptoms) == 0 {
		m.f("No operation was seen under load in this window.\n")
		return
	}
	head := []string{"Operation", ">req/s", ">errors", ">p50", ">p95", ">p99", ">p95 before"}
	trend := m.d.charts && slices.ContainsFunc(m.r.Symptoms, func(s Symptom) bool { return sparkOf(s, sparkWidth) != "" })
	if trend {
		head = append(head, "p95 over the run")
	}
	var rows [][]string
	shown, more := m.r.inSight()
	for _, s := range shown {
		name := mdCell(operationName(s))
		if s.Slow {
			name = "**slow** " + name
		}
		row := []string{name, digits(s.RPS), percent(s.ErrorRatio), orDash(s.P50), p95Text(s), orDash(s.P99), baselineText(s)}
		if trend {
			row = append(row, or(sparkOf(s, sparkWidth), "–"))
		}
		rows = append(rows, row)
	}
	m.table(head, rows)
	if len(more) > 0 {
		m.f("\n%d more operations are in the HTML report.\n", len(more))
	}
	for _, s := range m.r.Symptoms {
		if s.Slow && s.Why != "" {
			m.f("\n- %s: %s", mdCode(operationName(s)), mdText(s.Why))
		}
	}
	if t := slowText(m.r); t != "" {
		m.f("\n\n%s\n", mdText(strings.Replace(t, "; shaded in the charts", "", 1)))
	}
}

// table writes at most d.rows rows; a head that starts with > is a column of
// numbers. Where the dialect has no tables every row is a line of a list.
func (m *markdown) table(head []string, rows [][]string) {
	line, limit := m.flatRow, m.d.rows
	if !m.flat {
		line = m.tableRow
		m.tableHead(head)
	}
	for _, row := range first(rows, limit) {
		line(head, row)
	}
	if left := len(rows) - limit; left > 0 {
		m.f("\n%d more are not shown.\n", left)
	}
}

func (m *markdown) tableHead(head []string) {
	var names, rule []string
	for _, h := range head {
		name, number := strings.CutPrefix(h, ">")
		names = append(names, name)
		rule = append(rule, map[bool]string{true: "--:", false: "---"}[number])
	}
	m.tableRow(nil, names)
	m.tableRow(nil, rule)
}

func (m *markdown) tableRow(_, row []string) { m.f("| %s |\n", strings.Join(row, " | ")) }

// flatRow says a row with the names of its columns, the first without.
func (m *markdown) flatRow(head, row []string) {
	m.f("- %s", row[0])
	for i, cell := range row[1:] {
		m.f("; %s %s", strings.TrimPrefix(head[i+1], ">"), cell)
	}
	m.f("\n")
}

func (m *markdown) ranking() {
	m.f("\n## What made it slow\n\n")
	defer m.notes()
	if len(m.r.Causes) == 0 {
		m.f("%s\n", noCause(m.r))
		return
	}
	var rows [][]string
	for _, c := range m.r.Causes {
		of := "–"
		if c.Impact != nil {
			of = mdText(c.Impact.Percentile) + " of " + mdCell(c.Impact.target())
		}
		rows = append(rows, []string{fmt.Sprint(c.Rank), mdText(c.Title), mdCell(m.r.where(c)), savedText(c.Impact), of, scoreText(c.Score)})
	}
	m.table([]string{">#", "Cause", "Where", "Saves", "Of", "Evidence"}, rows)
	for i, c := range m.r.Causes {
		if a := c.action(); a != "" && i < m.d.rows {
			m.f("\n%d. %s", c.Rank, mdInline(a))
		}
	}
	m.f("\n")
}

// notes is what weakens the judgement.
func (m *markdown) notes() {
	for i, n := range m.r.Notes {
		if i < max(m.d.rows, 1) {
			m.f("\n%s\n", mdInline(n))
		}
	}
}

func (m *markdown) leads() {
	if len(m.r.Leads) == 0 || m.d.causes == 0 {
		return
	}
	m.f("\n## Best leads\n\nNot causes: the evidence does not suffice. Where to look first.\n")
	for i, c := range m.r.Leads {
		if i < m.d.causes {
			m.cause(c, mdText(c.Title))
		}
	}
}

func (m *markdown) unseen() {
	m.f("\n## What could not be seen\n\n")
	gaps := m.r.gaps()
	if len(gaps) == 0 {
		m.f("Every source that was asked gave everything that was asked of it.\n")
	} else {
		var rows [][]string
		for _, g := range gaps {
			rows = append(rows, []string{mdText(g.Source), mdTableInline(g.Reason), or(mdTableInline(g.Remedy), "–")})
		}
		m.table([]string{"Source", "Why", "What would make it visible"}, rows)
	}
	if !m.d.method {
		return
	}
	for _, c := range m.r.Coverage {
		for _, n := range c.Notes {
			m.f("\n- Note on %s: %s", mdText(c.Source), mdText(n))
		}
	}
	for _, u := range m.r.Unweighed {
		m.f("\n- Not weighed: %s, for lack of %s", mdCode(u.Analyzer), or(mdText(strings.TrimSpace(kindsText(u.Missing)+" "+u.Error)), "evidence"))
	}
	m.f("\n")
}

func (m *markdown) rejected() {
	if !m.d.rejected || len(m.r.Rejected) == 0 {
		return
	}
	m.f("\n## Weighed and rejected\n\n")
	var rows [][]string
	for _, x := range m.r.Rejected {
		rows = append(rows, []string{mdText(x.Rule), mdCell(entityText(x.Subject)), mdTableInline(x.Reason)})
	}
	m.table([]string{"Rule", "Where", "Why not"}, rows)
}

func (m *markdown) housekeeping() {
	if !m.d.rejected || len(m.r.Housekeeping) == 0 {
		return
	}
	m.f("\n## Housekeeping\n\nTrue, worth mending, and not what made this run slow.\n\n")
	for _, c := range m.r.Housekeeping {
		m.f("- **%s** %s: %s", mdText(c.Title), mdCode(entityText(c.Subject)), mdInline(c.Finding))
		for _, s := range c.Remedy {
			m.f(" %s", mdInline(s))
		}
		m.f("\n")
	}
}

func (m *markdown) method() {
	if !m.d.method {
		return
	}
	g := m.r.Generator
	m.f("\n## Method\n\n%s\n\n", methodText)
	m.f("Made by culprit %s, report schema %d. Times are %s; T+ counts from the start of the window.\n", mdText(g.Version), m.r.SchemaVersion, mdText(m.r.location().String()))
	for _, c := range m.r.Coverage {
		if c.Target != "" {
			m.f("\n- %s: %s %s", mdText(c.Source), mdCode(c.Target), mdText(c.Version))
		}
	}
	if m.r.Baseline != nil {
		m.f("\n- compared with %s", mdText(m.r.windowText(*m.r.Baseline)))
	}
	m.f("\n")
	if g.Command != "" {
		m.f("\n%s", mdFence(g.Command, "sh"))
	}
}
