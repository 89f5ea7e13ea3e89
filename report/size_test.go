package report

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// crowd is a report with n causes, each with long texts: more than any comment
// takes.
func crowd(n int) *Report {
	s := severalCauses()
	s.judged.Causes = nil
	for i := range n {
		h := poolHypothesis()
		h.Subject.Resource = fmt.Sprintf("pool-%d", i)
		for k := range 30 {
			h.Account = append(h.Account, rules.Entry{For: true, Verdict: rules.Present, Text: fmt.Sprintf("%d %s", k, strings.Repeat("word ", 60))})
		}
		s.judged.Causes = append(s.judged.Causes, h)
	}
	for i := range n * 10 {
		s.bundle.Gaps = append(s.bundle.Gaps, evidence.Gap{Source: "prometheus", Reason: fmt.Sprintf("%d %s", i, strings.Repeat("reason ", 40)), Remedy: "none"})
	}
	return s.report()
}

func TestMarkdownFitsAComment(t *testing.T) {
	for _, n := range []int{1, 5, 30, 300} {
		r := crowd(n)
		got := render(t, writeMarkdown, r)
		if len(got) > markdownBudget {
			t.Errorf("%d causes: %d bytes", n, len(got))
		}
		full := markdownWithin(r, ladder[:1], 1<<30, false)
		if len(full) > markdownBudget && !strings.Contains(got, "Left out here") && !strings.Contains(got, "Cut here") {
			t.Errorf("%d causes: shortened without a word", n)
		}
		if !strings.Contains(got, "Connection pool too small") {
			t.Errorf("%d causes: the first cause is gone", n)
		}
		if strings.Count(got, "```")%2 != 0 || strings.Count(got, "<details>") != strings.Count(got, "</details>") {
			t.Errorf("%d causes: cut inside a block", n)
		}
	}
}

func TestHTMLStaysSmall(t *testing.T) {
	for name, c := range map[string]struct {
		r     *Report
		limit int
	}{
		"typical":   {severalCauses().report(), 500_000},
		"30 charts": {thirtyCharts(), 500_000},
		"crowd":     {crowd(300), 1_500_000},
	} {
		if n := len(render(t, writeHTML, c.r)); n > c.limit {
			t.Errorf("%s: %d bytes, want at most %d", name, n, c.limit)
		} else {
			t.Logf("%s: %d bytes", name, n)
		}
	}
}

// thirtyCharts has 31, each with three lines of 240 points.
func thirtyCharts() *Report {
	r := wide(30).report()
	r.Objectives, r.Modules = nil, nil // the charts' weight
	charts := r.Causes[0].Charts
	for i := range r.Causes {
		r.Causes[i].Charts = charts
	}
	return r
}

// The time to beat: 100 ms for 30 charts.
func BenchmarkHTML30Charts(b *testing.B) {
	r := thirtyCharts()
	b.ReportAllocs()
	for b.Loop() {
		if err := writeHTML(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild30Charts(b *testing.B) {
	s := wide(30)
	for b.Loop() {
		s.report()
	}
}
