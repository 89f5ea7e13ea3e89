package report

import (
	"fmt"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/rules"
)

// Onset is when a cause's own measure rose, beside when the latency of the
// operation that it slows did, as the judge weighed them. Times are Unix ms; 0
// where no step stands out.
type Onset struct {
	Cause     int64          `json:"cause_ms,omitempty"`
	Symptom   int64          `json:"symptom_ms,omitempty"`
	Tolerance int64          `json:"tolerance_ms,omitempty"` // of the less certain of the two
	Measure   analyzers.Line `json:"measure"`
	Unit      string         `json:"unit" clean:"name"`
	Latency   analyzers.Line `json:"latency"` // p95 of the operation, s
}

// onset holds a cause's own series against the latency; nil where either is
// missing.
func (bd *builder) onset(h *rules.Hypothesis) *Onset {
	f := h.Finding
	if f == nil || h.Impact == nil || bd.facts == nil || len(f.Charts) == 0 || len(f.Charts[0].Lines) == 0 {
		return nil
	}
	s := bd.facts.Symptom(h.Impact.Operation.Service, h.Impact.Operation.Operation)
	if s == nil {
		return nil
	}
	o := &Onset{Measure: drawable(f.Charts[0].Lines[0]), Unit: f.Charts[0].Unit, Latency: drawable(analyzers.Line{Times: s.Times, Values: s.P95s})}
	if o.Latency.Name = "p95 of " + entityText(s.Entity); len(f.Charts[0].Lines) == 1 {
		o.Measure.Name = f.Charts[0].Title
	} else {
		o.Measure.Name = f.Charts[0].Title + ", " + o.Measure.Name
	}
	if f.Onset != nil {
		o.Cause, o.Tolerance = f.Onset.At, f.Onset.Tolerance
	}
	if s.Onset != nil {
		o.Symptom, o.Tolerance = s.Onset.At, max(o.Tolerance, s.Onset.Tolerance)
	}
	if !o.usable() {
		return nil
	}
	return o
}

// onsetText says which came first, as far as the samples can tell.
func (r *Report) onsetText(o *Onset) string {
	switch {
	case o == nil || o.Cause == 0 && o.Symptom == 0:
		return ""
	case o.Symptom == 0:
		return fmt.Sprintf("“%s” rose at %s; in the latency no one step stands out.", o.Measure.Name, r.offset(o.Cause))
	case o.Cause == 0:
		return fmt.Sprintf("The latency rose at %s; in “%s” no one step stands out: it was there all along, or came and went.", r.offset(o.Symptom), o.Measure.Name)
	}
	text := fmt.Sprintf("“%s” rose at %s, the latency at %s", o.Measure.Name, r.offset(o.Cause), r.offset(o.Symptom))
	switch gap := o.Symptom - o.Cause; {
	case gap > 2*o.Tolerance:
		return text + fmt.Sprintf(": %s before it.", seconds(float64(gap)/1000))
	case gap < -2*o.Tolerance:
		return text + fmt.Sprintf(": %s after it, which speaks against it.", seconds(float64(-gap)/1000))
	}
	return text + fmt.Sprintf(": together, as far as samples within %s can tell.", seconds(float64(o.Tolerance)/1000))
}

// onsetWord is onsetText for a cell of a table.
func (r *Report) onsetWord(c Cause) string {
	if c.Onset == nil || c.Onset.Cause == 0 {
		return "–"
	}
	if c.Onset.Symptom == 0 {
		return r.offset(c.Onset.Cause)
	}
	return r.offset(c.Onset.Cause) + " / " + r.offset(c.Onset.Symptom)
}

// drawable holds an onset to what can be drawn.
func (o *Onset) drawable() {
	if o != nil {
		o.Measure, o.Latency = drawable(o.Measure), drawable(o.Latency)
	}
}

// usable tells whether an onset that was read from a file can be drawn.
func (o *Onset) usable() bool {
	return o != nil && len(o.Measure.Times) >= 2 && len(o.Latency.Times) >= 2
}

// LoadPoint is one bin of an operation's run: its rate against its latency.
type LoadPoint struct {
	At   int64   `json:"t_ms"`
	Rate float64 `json:"rps"`
	P95  float64 `json:"p95_s"`
	Slow bool    `json:"slow,omitempty"`
}

// loadPoints of an operation; bins in which nothing was measured are left out.
func loadPoints(s analyzers.Symptom) []LoadPoint {
	if len(s.Rates) != len(s.Times) || len(s.P95s) != len(s.Times) {
		return nil
	}
	var out []LoadPoint
	for i, t := range s.Times {
		p := LoadPoint{At: t, Rate: s.Rates[i], P95: s.P95s[i], Slow: i < len(s.SlowBins) && s.SlowBins[i]}
		if finite(p.Rate) && finite(p.P95) && p.Rate > 0 && p.P95 > 0 {
			out = append(out, p)
		}
	}
	return first(out, pointsPerLine)
}

// knee is the lowest rate of a slow bin where every faster bin is slow too;
// false where load does not decide.
func knee(points []LoadPoint) (rate float64, ok bool) {
	calm := 0.0
	for _, p := range points {
		if !p.Slow {
			calm = max(calm, p.Rate)
		}
	}
	for _, p := range points {
		if p.Slow && p.Rate > calm && (!ok || p.Rate < rate) {
			rate, ok = p.Rate, true
		}
	}
	return rate, ok && calm > 0
}
