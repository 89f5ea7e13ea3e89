package report

import (
	"fmt"
	"strings"
)

// moduleView is a module of the load as people read it, in every format.
type moduleView struct {
	Name, Runs, Requests, Failed, P95 string
	Causes                            []moduleCause
	ByTime                            bool
	Lane                              *box // when it ran, in percent of the window; nil: not known
}

// moduleCause is what slows a module's requests.
type moduleCause struct {
	Rank int
	Rule string
	ID   string // of its section in a page
}

func (r *Report) moduleViews() []moduleView {
	var out []moduleView
	for _, m := range r.Modules {
		v := moduleView{
			Name: m.Name, Runs: or(m.Runs, "–"), Requests: fmt.Sprintf("%.0f", m.Requests), Failed: fmt.Sprintf("%.0f", m.Failed),
			P95: measuredText(m.P95), ByTime: m.By == "time", Lane: r.lane(m.Start, m.End),
		}
		for _, rank := range m.Causes {
			for i, c := range r.Causes {
				if c.Rank == rank {
					v.Causes = append(v.Causes, moduleCause{Rank: rank, Rule: c.Rule, ID: fmt.Sprintf("cause-%d", i+1)})
				}
			}
		}
		out = append(out, v)
	}
	return out
}

// lane places a stretch of time, in Unix ms, in the window.
func (r *Report) lane(start, end int64) *box {
	from, length := r.Window.Start.UnixMilli(), r.Window.End.Sub(r.Window.Start).Milliseconds()
	if start == 0 || end <= start || length <= 0 {
		return nil
	}
	x := func(at int64) float64 { return 100 * float64(min(max(at-from, 0), length)) / float64(length) }
	return &box{X: num(x(start)), W: num(max(x(end)-x(start), 0.5))}
}

// Suffers names the causes in words.
func (v moduleView) Suffers() string {
	var parts []string
	for _, c := range v.Causes {
		parts = append(parts, fmt.Sprintf("%d. %s", c.Rank, c.Rule))
	}
	text := or(strings.Join(parts, ", "), "–")
	if v.ByTime {
		text += " (by when it ran)"
	}
	return text
}

// Heads of the columns; the first is the module.
var moduleColumns = []string{"Module", "Runs", ">Requests", ">Failed", ">p95", "Suffers from"}

// modules is the account of the modules; nothing where no tool told any apart.
func (m *markdown) modules() {
	if len(m.r.Modules) == 0 {
		return
	}
	m.f("\n## Modules of the load\n\n")
	var rows [][]string
	for _, v := range m.r.moduleViews() {
		rows = append(rows, []string{mdCell(v.Name), mdText(v.Runs), v.Requests, v.Failed, mdText(v.P95), mdText(v.Suffers())})
	}
	m.table(moduleColumns, rows)
}

// modules is the account for a terminal: the causes, of which there may be
// many, below the table.
func (t *text) modules() {
	if len(t.r.Modules) == 0 {
		return
	}
	t.heading("Modules of the load")
	t.f("\n")
	const figures = 60 // columns that are not the module's name
	name := min(max(t.term.Width-figures, 16), 36)
	rows := [][]string{{" "}}
	for _, c := range moduleColumns[:len(moduleColumns)-1] {
		rows[0] = append(rows[0], strings.ToLower(strings.TrimPrefix(c, ">")))
	}
	for _, v := range t.r.moduleViews() {
		rows = append(rows, []string{" ", shorten(v.Name, name), v.Runs, v.Requests, v.Failed, v.P95})
	}
	t.table(rows, map[int]bool{3: true, 4: true, 5: true})
	for _, v := range t.r.moduleViews() {
		if len(v.Causes) > 0 {
			t.f("%s", t.indented(v.Name+" suffers from "+v.Suffers(), "  "))
		}
	}
}
