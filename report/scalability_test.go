package report

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestScalabilityText(t *testing.T) {
	at := analyzers.Between{Value: 0.05, Low: 0.04, High: 0.06}
	for name, c := range map[string]struct {
		law  *analyzers.Scalability
		want string
	}{
		"a peak":            {sampleScalability(), "contention 8 % (6 to 10) of the work, coherency 0.21 % (0.17 to 0.26) for each pair. Throughput is highest with 20.9 (19.1 to 23.2) in flight, at 63 (60 to 66) requests/s, and falls with more."},
		"a bound":           {&analyzers.Scalability{Slices: 30, Seen: 9, Contend: at, Bound: analyzers.Between{Value: 200, Low: 180, High: 230}}, "No more than 200 (180 to 230) requests/s"},
		"neither":           {&analyzers.Scalability{Slices: 30, Seen: 9, Contend: at}, "too far from what was seen"},
		"not fitted":        {&analyzers.Scalability{Why: "the load had 2 levels"}, "not fitted: the load had 2 levels."},
		"nobody saw a load": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{Scalability: scalability(c.law)}
			if got := r.ScalabilityText(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if text := (&Report{Scalability: &Scalability{Slices: 3}}).ScalabilityText(); !strings.Contains(text, "not known") {
		t.Errorf("a report that lacks its constants: %q", text)
	}
}

// The next limit is named where one was full, with its interval, or not at all.
func TestNextLimit(t *testing.T) {
	full := Limit{What: "connections", Rate: 38, Low: 36, High: 41, Seen: 61, Reached: 1000}
	next := Limit{What: "cores", Resource: evidence.Entity{Resource: "n1"}, Rate: 97, Low: 90, High: 108, Seen: 61}
	with := func(l Limit, low, high float64) Limit { l.Low, l.High = low, high; return l }
	for name, c := range map[string]struct {
		limits []Limit
		want   string
	}{
		"the next":                   {[]Limit{full, next}, "the next to be full is cores (n1), at 97 requests/s (90 to 108)"},
		"nothing was full":           {[]Limit{next}, ""},
		"all was full":               {[]Limit{full}, ""},
		"an interval of no use":      {[]Limit{full, with(next, 40, 300)}, ""},
		"its line was wrong already": {[]Limit{full, with(next, 40, 50)}, ""},
		"behind one that was wrong":  {[]Limit{full, with(next, 40, 50), next}, "the next to be full is cores"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Report{Limits: c.limits}).nextText(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
