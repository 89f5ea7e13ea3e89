package analyzers

import (
	"fmt"
	"strconv"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindPaginated is the number of pages that a request walks through.
const FindPaginated Kind = "calls.paginated"

var pagination = Analyzer{
	Name: "pagination",
	Doc: "Finds requests that walk through a result page by page, five pages or more in a row: by offset, or from a key on. It is no N+1, since each page is another question; " +
		"larger pages, or not reading all of them, would spare calls. Value is the number of pages. The gain leaves one page.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindPaginated, FindPaginated + ".recurrence"},
	Run:   paginationDetector.analyze,
}

var paginationDetector = detector{
	finds: FindPaginated, unit: "1", find: pagesOf, warning: bound("one page instead of all"),
	text: func(g *occurrences) string {
		return fmt.Sprintf("%s walks through %.0f pages, one after another: %s.", g.place.Operation, g.median, g.brief())
	},
}

func pagesOf(t *Trace) []pattern {
	var found []pattern
	for _, g := range t.groups {
		if len(g.calls) < fewestRepeats || !t.paginates(g) || t.serial(g.calls) < serialEnough || !t.matters(g.server, g.calls) {
			continue
		}
		facts := t.spanFacts(g.calls[0])
		facts["calls"] = strconv.Itoa(len(g.calls))
		found = append(found, pattern{server: g.server, to: *g.to, spans: g.calls, value: float64(len(g.calls)), facts: facts,
			cut: func(c Cuts) { t.cutRepeats(c, []callGroup{g}) }})
	}
	return found
}
