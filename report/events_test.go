package report

import (
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// sampleEvents: one before the window, one in it, an experiment, and one that
// came at once with the second.
func sampleEvents() []evidence.Event {
	at := func(s int) int64 { return sampleStart.Add(time.Duration(s) * time.Second).UnixMilli() }
	return []evidence.Event{
		{At: at(-600), Kind: "migration", Text: "orders gets a column"},
		{At: at(29), Kind: "deployment", Text: "orders goes to v2", Entity: evidence.Entity{Service: "orders"}},
		{At: at(29), Kind: "config", Text: "pool of 4", Entity: evidence.Entity{Service: "orders", Resource: "main"}},
		{At: at(40), End: at(70), Kind: "chaos", Text: "chaos experiment delay", Entity: evidence.Entity{Resource: "delay"}},
	}
}

// Every time axis has the events of the window; figures of other axes have none.
func TestChartsMarkEvents(t *testing.T) {
	page := render(t, writeHTML, severalCauses().report())
	axes := 0
	for _, n := range elements(t, page, "svg") {
		class := attr(n, "class")
		if class != "plot" && class != "plot free" {
			continue
		}
		lines, numbers, bars, desc := 0, []string{}, 0, ""
		for d := range n.Descendants() {
			switch {
			case attr(d, "class") == "event":
				lines++
			case attr(d, "class") == "eventbar":
				bars++
			case attr(d, "class") == "eventtext":
				numbers = append(numbers, d.FirstChild.Data)
			case d.Data == "desc":
				desc = d.FirstChild.Data
			}
		}
		if !strings.Contains(desc, "Time series") {
			if lines+bars > 0 {
				t.Errorf("%d events on an axis that is not time: %s", lines, desc)
			}
			continue
		}
		axes++
		if lines != 4 || bars != 1 || strings.Join(numbers, " ") != "2 4" {
			t.Errorf("%d lines, %d bars, numbers %q: want two moments, an experiment's start and end, and the third number left out", lines, bars, numbers)
		}
		if !strings.Contains(desc, "Event 2, T+00:29: orders goes to v2.") {
			t.Errorf("it is not in words: %s", desc)
		}
	}
	if axes < 7 {
		t.Errorf("%d time axes", axes)
	}
}

func TestEventsAreListed(t *testing.T) {
	r := severalCauses().report()
	for name, write := range map[string]Format{"html": writeHTML, "md": writeMarkdown, "txt": writeText} {
		text := render(t, write, r)
		for _, want := range []string{"T+00:40–T+01:10", "orders goes to v2", "T-10:00"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", name, want)
			}
		}
	}
	r.Events = nil
	for range eventsShown + 3 {
		r.Events = append(r.Events, sampleEvents()[1])
	}
	if text := render(t, writeMarkdown, r); strings.Count(text, "goes to v2") != eventsShown || !strings.Contains(text, "3 more events") {
		t.Error("the list of events has no bound, or does not say so")
	}
}
