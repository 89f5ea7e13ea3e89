package report

import (
	"fmt"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// eventsShown: what comes after so many is in the JSON report alone.
	eventsShown = 20
	// numberRoom in a chart's units is kept between the numbers of two events.
	numberRoom = 14.0
)

// shownEvents are the first events, which charts number in this order.
func (r *Report) shownEvents() []evidence.Event { return first(r.Events, eventsShown) }

// eventRow is an event in words.
type eventRow struct{ Number, When, Kind, Where, What string }

var eventColumns = []string{"No.", "When", "Kind", "Where", "What"}

func (r *Report) eventRows() []eventRow {
	var out []eventRow
	for i, e := range r.shownEvents() {
		out = append(out, eventRow{strconv.Itoa(i + 1), r.eventTime(e), e.Kind, entityText(e.Entity), shorten(e.Text, 120)})
	}
	return out
}

// moreEvents says how many are not shown, "" where all are.
func (r *Report) moreEvents() string {
	if n := len(r.Events) - eventsShown; n > 0 {
		return fmt.Sprintf("%d more events are in the JSON report.", n)
	}
	return ""
}

func (r *Report) eventTime(e evidence.Event) string {
	if e.End > e.At {
		return r.span(Span{e.At, e.End})
	}
	return r.offset(e.At)
}

// eventMarks are the events on a time axis: a line at the time of each, one at
// its end where it lasted, and a bar between them.
type eventMarks struct {
	Lines, Bars string // path data
	Numbers     []mark // but those that would run into the one before
}

// events of the window, as all charts over it draw them, nil for none. What lasted
// from before the window on is drawn from its start.
func (f *frame) events() *eventMarks {
	var m eventMarks
	free := 0.0
	line := func(x float64) string { return fmt.Sprintf("M%s %sV%s", num(x), num(padTop), num(plotH-padBottom)) }
	for i, e := range f.report.shownEvents() {
		if !f.shows(e) {
			continue
		}
		x, end := f.x(e.At), f.x(e.End)
		m.Lines += line(x)
		if e.End > e.At {
			m.Bars += fmt.Sprintf("M%s %sH%sv3H%sz", num(x), num(padTop), num(end), num(x))
		}
		if e.End > e.At && e.End < f.to {
			m.Lines += line(end)
		}
		if x >= free {
			m.Numbers, free = append(m.Numbers, mark{X: num(x + 3), Text: strconv.Itoa(i + 1)}), x+numberRoom
		}
	}
	if m.Lines == "" {
		return nil
	}
	return &m
}

func (f *frame) shows(e evidence.Event) bool { return e.At < f.to && max(e.At, e.End) >= f.from }

func (m *markdown) events() {
	if len(m.r.Events) == 0 || !m.d.rejected {
		return
	}
	m.f("\n## Events\n\n")
	var rows [][]string
	for _, e := range m.r.eventRows() {
		rows = append(rows, []string{e.Number, mdText(e.When), mdCell(e.Kind), mdCell(e.Where), mdText(e.What)})
	}
	m.table(eventColumns, rows)
	if t := m.r.moreEvents(); t != "" {
		m.f("\n%s\n", t)
	}
}

func (t *text) events() {
	if len(t.r.Events) == 0 {
		return
	}
	t.heading("Events")
	t.f("\n")
	for _, e := range t.r.eventRows() {
		t.f("%s", t.indented(fmt.Sprintf("%s %s: %s", e.When, e.Kind, e.What), "  "))
	}
	if more := t.r.moreEvents(); more != "" {
		t.f("%s", t.indented(more, "  "))
	}
}
