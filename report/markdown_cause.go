package report

// cause writes one cause in full, under its title.
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
	if m.d.proof {
		m.proof(c)
	}
	m.ledger(c)
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

// ledger is where the milliseconds go; a bar of characters beside the times.
func (m *markdown) ledger(c Cause) {
	l, by := m.r.ledger(&c)
	if l == nil || !m.d.charts {
		return
	}
	if by > 0 {
		m.f("Where the time of %s goes is said under cause %d.\n\n", mdCode(l.target()), by)
		return
	}
	m.f("**%s**\n\n", mdText(l.summary()))
	var rows [][]string
	for i, row := range l.rows() {
		name := "**" + mdText(row.What) + "**"
		bar := ""
		if i < len(l.Lines) {
			name, bar = mdCell(row.What), blocks(l.Lines[i].TailTime/l.TailTime)
		}
		if row.Kind != "" {
			name += " " + mdText(row.Kind)
		}
		rows = append(rows, []string{name, row.Tail, row.Usual, row.More, or(bar, "–"), or(mdText(row.Why), "–")})
	}
	m.table([]string{"What held the request up", ">slow request", ">typical", ">more", "share", "because"}, rows)
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
		m.para(m.r.onsetText(c.Onset))
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
	var rows [][]string
	for _, ch := range c.Charts {
		unit := chartUnit(ch)
		for i, l := range ch.Lines {
			if i == 3 {
				break
			}
			rows = append(rows, []string{mdText(ch.Title + ": " + l.Name), spark(l, m.r.Window, sparkWidth), unit(peak(l))})
		}
	}
	m.table([]string{"Over the run", m.r.span(Span{m.r.Window.Start.UnixMilli(), m.r.Window.End.UnixMilli()}), ">peak"}, rows)
	m.f("\n")
}

func (m *markdown) queries(c Cause) {
	others := c.otherQueries()
	if len(others) == 0 {
		return
	}
	if m.flat {
		m.f("**More queries behind this**\n\n")
	} else {
		m.f("<details><summary>More queries behind this</summary>\n\n")
		defer m.f("</details>\n\n")
	}
	for _, q := range others {
		m.query(q)
	}
}

// proof is the one query that stands in the open.
func (m *markdown) proof(c Cause) {
	if q := c.proof(); q != nil {
		m.f("**The query that shows it**\n\n")
		m.query(*q)
	}
}

func (m *markdown) query(q Query) {
	if q.Shows != "" {
		m.f("%s\n\n", mdInline(q.Shows))
	}
	m.f("%s\n", mdFence(q.Text, language(q.Source)))
	if q.Link != "" {
		m.f("[open it](<%s>)\n\n", mdURL(q.Link))
	}
	if q.Grafana != "" {
		m.f("[open it in Grafana](<%s>)\n\n", mdURL(q.Grafana))
	}
}
