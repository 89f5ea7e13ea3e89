package report

import (
	"fmt"
	"io"
	"strings"
)

// markdownBudget is in bytes, below the 65,536 characters that a GitHub
// comment takes.
const markdownBudget = 60_000

// detail is how much of a report a text says. Where it does not fit, the
// ladder takes away what is needed last.
type detail struct {
	method, queries, charts, rejected bool
	causes                            int // shown in full
	account                           int // lines of evidence a cause
	rows                              int // of symptoms, gaps and rejected
	name                              string
}

var ladder = []detail{
	{true, true, true, true, 20, 40, 60, ""},
	{false, true, true, true, 20, 40, 60, "the method"},
	{false, false, true, true, 20, 40, 60, "the method and the queries"},
	{false, false, false, true, 20, 40, 60, "the method, the queries and the charts"},
	{false, false, false, false, 5, 20, 30, "the method, the queries, the charts, what was rejected and the lower ranks"},
	{false, false, false, false, 2, 6, 8, "all but the first causes and their strongest evidence"},
	{false, false, false, false, 0, 0, 3, "all but the verdict and the ranking"},
}

// writeMarkdown is GitHub's flavour, as long as a comment may be.
func writeMarkdown(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, markdownWithin(r, ladder, markdownBudget))
	return err
}

// writeBrief is one page for an incident: the verdict, the causes, what to do.
func writeBrief(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, markdownWithin(r, []detail{{false, false, false, false, 1, 6, 5, "all but the first cause"}, ladder[len(ladder)-1]}, 6_000))
	return err
}

// markdownWithin says as much as fits.
func markdownWithin(r *Report, steps []detail, budget int) string {
	text := ""
	for _, d := range steps {
		m := markdown{r: r, d: d}
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
	r *Report
	d detail
}

func (m *markdown) document() string {
	m.head()
	m.symptoms()
	m.ranking()
	for i, c := range m.r.Causes {
		if i < m.d.causes {
			m.cause(c, fmt.Sprintf("%d. %s", c.Rank, mdText(c.Title)))
		}
	}
	m.leads()
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
		m.f("\n*Shortened: %s are left out here; the HTML and JSON reports have everything.*\n", m.d.name)
	}
}

func (m *markdown) symptoms() {
	m.f("\n## What was slow\n\n")
	if len(m.r.Symptoms) == 0 {
		m.f("No operation was seen under load in this window.\n")
		return
	}
	trend := m.d.charts && m.hasTrend()
	m.row("Operation", "req/s", "errors", "p50", "p95", "p99", "p95 before", onlyIf(trend, "p95 over the run"))
	m.row("---", "--:", "--:", "--:", "--:", "--:", "--:", onlyIf(trend, "---"))
	for i, s := range m.r.Symptoms {
		if i == m.d.rows {
			m.f("\n%d more operations.\n", len(m.r.Symptoms)-i)
			break
		}
		name := mdCell(operationName(s))
		if s.Slow {
			name = "**slow** " + name
		}
		m.row(name, digits(s.RPS), percent(s.ErrorRatio), orDash(s.P50), p95Text(s), orDash(s.P99), baselineText(s), onlyIf(trend, or(sparkOf(s), "–")))
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

func (m *markdown) hasTrend() bool {
	for _, s := range m.r.Symptoms {
		if sparkOf(s) != "" {
			return true
		}
	}
	return false
}

func onlyIf(ok bool, s string) string {
	if ok {
		return s
	}
	return ""
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// row writes table cells; empty ones are columns that are not there.
func (m *markdown) row(cells ...string) {
	m.f("|")
	for _, c := range cells {
		if c != "" {
			m.f(" %s |", c)
		}
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
	m.row("#", "Cause", "Where", "Saves", "Of", "Evidence")
	m.row("--:", "---", "---", "---", "---", "---")
	for _, c := range m.r.Causes {
		of := "–"
		if c.Impact != nil {
			of = mdText(c.Impact.Percentile) + " of " + mdCell(c.Impact.Operation)
		}
		m.row(fmt.Sprint(c.Rank), mdTableText(c.Title), mdCell(entityText(c.Subject)), savedText(c.Impact), of, scoreText(c.Score))
	}
}

// notes is what weakens the judgement.
func (m *markdown) notes() {
	for i, n := range m.r.Notes {
		if i < max(m.d.rows, 1) {
			m.f("\n%s\n", mdInline(n))
		}
	}
}

func (m *markdown) cause(c Cause, title string) {
	m.f("\n### %s\n\n", title)
	for _, p := range parts(c.Subject) {
		m.f("%s %s  ", p.Name, mdCode(p.Value))
	}
	m.f("\n\n")
	m.para(c.Finding)
	m.f("**%s** Evidence: %s (%s).\n\n", mdText(nowThen(c.Impact)), scoreText(c.Score), tallyText(c))
	m.para(c.Mechanism)
	m.remedy(c)
	m.account("Evidence for", c.pros())
	m.account("What would speak against", c.cons())
	m.list("Mind", c.Warnings)
	m.list("Follows from this", follows(m.r, c))
	m.references(c)
}

func (m *markdown) para(s string) {
	if s != "" {
		m.f("%s\n\n", mdInline(s))
	}
}

func (m *markdown) remedy(c Cause) {
	if len(c.Remedy) > 0 {
		m.f("**What to do**\n\n")
		for i, s := range c.Remedy {
			m.f("%d. %s\n", i+1, mdInline(s))
		}
		m.f("\n")
	}
	if c.Verify != "" {
		m.f("**How to verify, or disprove**: %s\n\n", mdInline(c.Verify))
	}
	if c.NotWhen != "" {
		m.f("**When not to**: %s\n\n", mdInline(c.NotWhen))
	}
}

func (m *markdown) account(title string, lines []Evidence) {
	if len(lines) == 0 || m.d.account == 0 {
		return
	}
	m.f("**%s**\n\n", title)
	for i, e := range lines {
		if i == m.d.account {
			m.f("- and %d more\n", len(lines)-i)
			break
		}
		m.f("- %s %s: %s", accountSign(e), mdText(e.Verdict), mdInline(e.Text))
		for _, w := range e.Warnings {
			m.f(" (%s)", mdInline(w))
		}
		m.f("\n")
	}
	m.f("\n")
}

func (m *markdown) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	m.f("**%s**\n\n", title)
	for _, s := range items {
		m.f("- %s\n", mdText(s))
	}
	m.f("\n")
}

func (m *markdown) references(c Cause) {
	if m.d.charts {
		m.sparks(c)
	}
	if len(c.Traces) > 0 {
		m.f("Example traces:")
		for _, t := range c.Traces {
			if t.Link != "" {
				m.f(" [%s](<%s>)", t.ID, mdURL(t.Link))
				continue
			}
			m.f(" %s", mdCode(t.ID))
		}
		m.f("\n\n")
	}
	if m.d.queries {
		m.queries(c)
	}
	for _, l := range c.Links {
		m.f("- Read more: <%s>\n", mdURL(l))
	}
}

func (m *markdown) sparks(c Cause) {
	if len(c.Charts) == 0 {
		return
	}
	m.row("Over the run", m.r.span(Span{m.r.Window.Start.UnixMilli(), m.r.Window.End.UnixMilli()}), "peak")
	m.row("---", "---", "--:")
	for _, ch := range c.Charts {
		unit := chartUnit(ch)
		for i, l := range ch.Lines {
			if i == 3 {
				break
			}
			m.row(mdTableText(ch.Title+": "+l.Name), spark(l, m.r.Window), unit(peak(l)))
		}
	}
	m.f("\n")
}

func (m *markdown) queries(c Cause) {
	if len(c.Queries) == 0 {
		return
	}
	m.f("<details><summary>Queries behind this</summary>\n\n")
	for _, q := range c.Queries {
		m.f("%s\n", mdFence(q.Text, language(q.Source)))
		if q.Link != "" {
			m.f("[open it](<%s>)\n\n", mdURL(q.Link))
		}
	}
	m.f("</details>\n\n")
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
		m.row("Source", "Why", "What would make it visible")
		m.row("---", "---", "---")
	}
	for i, g := range gaps {
		if i == m.d.rows {
			m.f("\n%d more gaps.\n", len(gaps)-i)
			break
		}
		m.row(mdTableText(g.Source), mdTableText(g.Reason), or(mdTableText(g.Remedy), "–"))
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
	m.row("Rule", "Where", "Why not")
	m.row("---", "---", "---")
	for i, x := range m.r.Rejected {
		if i == m.d.rows {
			m.f("\n%d more.\n", len(m.r.Rejected)-i)
			break
		}
		m.row(mdTableText(x.Rule), mdCell(entityText(x.Subject)), mdTableText(x.Reason))
	}
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
