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

// eventMark is an event on a time axis: a line at its time, and where it lasted
// one at its end with a bar between them.
type eventMark struct {
	X, End, W string // End "" where it has none inside the window
	Number    string // "" where it would run into the one before
}

// events of the window, as the charts draw them. What lasted from before the
// window on is drawn from its start.
func (f *frame) events() []eventMark {
	var out []eventMark
	free := 0.0
	for i, e := range f.report.shownEvents() {
		if e.At >= f.to || max(e.At, e.End) < f.from {
			continue
		}
		x := f.x(e.At)
		m := eventMark{X: num(x)}
		if e.End > e.At {
			m.W = num(f.x(e.End) - x)
			if e.End < f.to {
				m.End = num(f.x(e.End))
			}
		}
		if x >= free {
			m.Number, free = strconv.Itoa(i+1), x+numberRoom
		}
		out = append(out, m)
	}
	return out
}

// eventWords say for those who cannot see a chart which events it marks.
func (f *frame) eventWords() string {
	text := ""
	for i, e := range f.report.shownEvents() {
		if i == 3 {
			return text + " And more events."
		}
		if e.At < f.to && max(e.At, e.End) >= f.from {
			text += fmt.Sprintf(" Event %d, %s: %s.", i+1, f.report.eventTime(e), shorten(e.Text, 60))
		}
	}
	return text
}

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
