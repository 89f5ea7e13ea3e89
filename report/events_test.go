package report

import (
	"html"
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
		if class := attr(n, "class"); class != "plot" && class != "plot free" {
			continue
		}
		used, desc := 0, ""
		for d := range n.Descendants() {
			if d.Data == "use" && attr(d, "href") == "#ev" {
				used++
			} else if d.Data == "desc" {
				desc = d.FirstChild.Data
			}
		}
		want := 0
		if strings.HasPrefix(desc, "Time series") {
			axes++
			want = 1
		}
		if used != want {
			t.Errorf("the events are %d times on %s", used, desc)
		}
	}
	if axes < 7 {
		t.Errorf("%d time axes", axes)
	}
	numbers := []string{}
	for _, n := range elements(t, page, "text") {
		if attr(n, "class") == "eventtext" {
			numbers = append(numbers, n.FirstChild.Data)
		}
	}
	for _, n := range elements(t, page, "path") {
		lines := strings.Count(attr(n, "d"), "M")
		if class := attr(n, "class"); class == "event" && lines != 4 || class == "eventbar" && lines != 1 {
			t.Errorf("%s: %d lines, want two moments, an experiment's start and end, and a bar between them", class, lines)
		}
	}
	if strings.Join(numbers, " ") != "2 4" {
		t.Errorf("numbers %q: want the third left out, that came with the second", numbers)
	}
}

func TestEventsAreListed(t *testing.T) {
	r := severalCauses().report()
	for name, write := range map[string]Format{"html": writeHTML, "md": writeMarkdown, "txt": writeText} {
		text := html.UnescapeString(render(t, write, r))
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
