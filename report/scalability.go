package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
)

// Scalability is the universal scalability law fitted to the run, or why it was
// not.
type Scalability struct {
	Why       string             `json:"why,omitempty"` // it was not fitted; else absent, and the rest is there
	Slices    int                `json:"slices,omitempty"`
	Levels    int                `json:"levels,omitempty"`
	Seen      float64            `json:"in_flight,omitempty"`  // most requests at once
	SeenRate  float64            `json:"peak_rate,omitempty"`  // requests/s
	Each      *analyzers.Between `json:"lambda,omitempty"`     // requests/s that one at a time gets
	Contend   *analyzers.Between `json:"sigma,omitempty"`      // share of the work that waits for its turn
	Coherency *analyzers.Between `json:"kappa,omitempty"`      // cost of each pair that must agree
	Peak      *analyzers.Between `json:"peak_at,omitempty"`    // requests in flight beyond which throughput falls
	PeakRate  *analyzers.Between `json:"peak_reach,omitempty"` // requests/s there
	Bound     *analyzers.Between `json:"bound_rate,omitempty"` // requests/s that contention allows at most, without a peak
}

func scalability(s *analyzers.Scalability) *Scalability {
	if s == nil {
		return nil
	}
	if s.Why != "" {
		return &Scalability{Why: s.Why}
	}
	known := func(b analyzers.Between) *analyzers.Between {
		if b.Value == 0 {
			return nil
		}
		return &b
	}
	return &Scalability{Slices: s.Slices, Levels: s.Levels, Seen: s.Seen, SeenRate: s.SeenRate, Each: &s.Each, Contend: &s.Contend, Coherency: &s.Coherency,
		Peak: known(s.Peak), PeakRate: known(s.PeakRate), Bound: known(s.Bound)}
}

// ScalabilityText says what the law makes of the run: what waits for its turn,
// what must agree, and where that ends; "" where nobody saw the load.
func (r *Report) ScalabilityText() string {
	s := r.Scalability
	switch {
	case s == nil:
		return ""
	case s.Why != "" || s.Each == nil || s.Contend == nil || s.Coherency == nil:
		return fmt.Sprintf("The universal scalability law is not fitted: %s.", or(s.Why, "its constants are not known"))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "By the universal scalability law, fitted to %d stretches of the run with up to %s requests in flight: contention %s of the work, coherency %s for each pair.",
		s.Slices, digits(s.Seen), percentBetween(s.Contend), percentBetween(s.Coherency))
	switch {
	case s.Peak != nil && s.PeakRate != nil:
		fmt.Fprintf(&b, " Throughput is highest with %s in flight, at %s requests/s, and falls with more.", between(s.Peak), between(s.PeakRate))
	case s.Bound != nil:
		fmt.Fprintf(&b, " No more than %s requests/s get through however many are in flight.", between(s.Bound))
	default:
		b.WriteString(" Where that ends lies too far from what was seen to be said.")
	}
	return b.String()
}

func between(b *analyzers.Between) string {
	return fmt.Sprintf("%s (%s to %s)", digits(b.Value), digits(b.Low), digits(b.High))
}

func percentBetween(b *analyzers.Between) string {
	return fmt.Sprintf("%s %% (%s to %s)", digits(100*b.Value), digits(100*b.Low), digits(100*b.High))
}

// widestNext is how much higher the end of an interval may be than its start for
// the next limit to be foreseen at all.
const widestNext = 2.0

// nextLimit is the first resource that is not full yet, once those that are
// have been given more; false where none was full, none is foreseen, or its line
// says that it should have been full.
func (r *Report) nextLimit() (Limit, bool) {
	if !slices.ContainsFunc(r.Limits, func(l Limit) bool { return l.Reached > 0 }) {
		return Limit{}, false
	}
	i := slices.IndexFunc(r.Limits, func(l Limit) bool { return l.Reached == 0 && l.High > l.Seen })
	if i < 0 || r.Limits[i].High > widestNext*r.Limits[i].Low {
		return Limit{}, false
	}
	return r.Limits[i], true
}

// nextText says which limit comes next, "" where that is not known.
func (r *Report) nextText() string {
	l, ok := r.nextLimit()
	if !ok {
		return ""
	}
	return fmt.Sprintf(" Once what was full has more, the next to be full is %s (%s), at %s.", l.What, entityText(l.Resource), rateText(l))
}

// headroomText is what the section says before its table, one paragraph each;
// none where there is nothing to say.
func (r *Report) headroomText() []string {
	var out []string
	if len(r.Limits) > 0 {
		out = append(out, r.LimitsText()+r.nextText())
	} else if r.Scalability == nil || r.Scalability.Why != "" {
		return nil
	}
	if t := r.ScalabilityText(); t != "" {
		out = append(out, t)
	}
	return out
}
