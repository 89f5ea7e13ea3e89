package report

import (
	"fmt"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Limit is a resource that more load would fill.
type Limit struct {
	Resource evidence.Entity `json:"resource" clean:"name"`
	What     string          `json:"what"`                 // "connections of the pool"
	Peak     float64         `json:"peak"`                 // share in use at the highest rate, 0..1
	Rate     float64         `json:"full_at"`              // requests/s at which it is full
	Low      float64         `json:"low"`                  // 95 % interval of Rate
	High     float64         `json:"high"`                 //
	Seen     float64         `json:"peak_rate"`            // highest rate of the run, requests/s
	Reached  int64           `json:"reached_ms,omitempty"` // Unix ms when it first was full
	Query    string          `json:"query,omitempty" clean:"block"`
}

// limitsShown: what comes after the next few limits is nobody's concern yet.
const limitsShown = 5

func limits(in []analyzers.Limit) []Limit {
	var out []Limit
	for _, l := range first(in, limitsShown) {
		out = append(out, Limit{l.Resource, l.What, l.Peak, l.Rate, l.Low, l.High, l.Seen, l.Reached, l.Query})
	}
	return out
}

var limitColumns = []string{"What is full first", "Where", "In use at the peak", "Full at"}

// LimitsText introduces the table.
func (r *Report) LimitsText() string {
	return fmt.Sprintf("The run reached %s requests/s. With more of the same mix these would be full next, by the line of their use over the rate.", digits(r.Limits[0].Seen))
}

// UseText is how full it was, and since when it was full.
func (r *Report) UseText(l Limit) string {
	if l.Reached > 0 {
		return percent(l.Peak) + ", full from " + r.offset(l.Reached)
	}
	return percent(l.Peak)
}

func rateText(l Limit) string {
	return fmt.Sprintf("%s requests/s (%s to %s)", digits(l.Rate), digits(l.Low), digits(l.High))
}

func (m *markdown) headroom() {
	paragraphs := m.r.headroomText()
	if len(paragraphs) == 0 || !m.d.rejected {
		return
	}
	m.f("\n## Headroom\n\n")
	for _, p := range paragraphs {
		m.f("%s\n\n", mdText(p))
	}
	if len(m.r.Limits) == 0 {
		return
	}
	var rows [][]string
	for _, l := range m.r.Limits {
		rows = append(rows, []string{mdText(l.What), mdCell(entityText(l.Resource)), mdText(m.r.UseText(l)), mdText(rateText(l))})
	}
	m.table(limitColumns, rows)
}

func (t *text) headroom() {
	paragraphs := t.r.headroomText()
	if len(paragraphs) == 0 {
		return
	}
	t.heading("Headroom")
	t.f("\n")
	for _, p := range paragraphs {
		t.f("%s", t.indented(p, "  "))
	}
	for _, l := range t.r.Limits {
		t.f("%s", t.indented(fmt.Sprintf("%s, %s: %s in use, full at %s", l.What, entityText(l.Resource), t.r.UseText(l), rateText(l)), "  "))
	}
}
