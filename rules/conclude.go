package rules

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// minRunRequests below which nothing can be said of a run's percentiles.
const minRunRequests = 20

// conclude writes the verdict.
func (j *Judgement) conclude(b *evidence.Bundle, r *analyzers.Result) {
	if note := r.Facts.StandIns(); note != "" {
		j.Notes = append(j.Notes, note)
	}
	requests := 0.0
	for _, s := range r.Facts.Symptoms {
		requests += s.Requests
	}
	switch {
	case len(j.Causes) > 0:
		j.Status, j.Headline = CausesFound, causeHeadline(j.Causes)
	case len(r.Facts.Symptoms) == 0:
		j.Status = Inconclusive
		j.Headline = untimed(b.Loads)
	case requests < minRunRequests:
		j.Status = RunUnusable
		j.Headline = fmt.Sprintf("Only %.0f requests lie in the window: too few for a percentile. Run more load, or widen the window.", requests)
	case len(r.Facts.Slow) > 0:
		j.Status, j.Headline = Inconclusive, unexplained(r.Facts, j.Leads)
	case len(j.Flaws) > 0:
		j.Status = RunUnusable
		j.Headline = fmt.Sprintf("Nothing was slow, but the system was not loaded as planned: %s.", j.Flaws[0].Finding.Text)
	default:
		j.Status, j.Headline = NoProblem, healthy(r.Facts, j.Blind)
		if s := mostUneven(r.Facts); s != nil {
			j.Status, j.Headline = Inconclusive, uneven(s, j.Leads)
		}
	}
	if j.Status == NoProblem || j.Status == Inconclusive {
		j.Headline += blindText(j.Blind)
	} else if len(j.Blind) > 0 {
		j.Notes = append(j.Notes, strings.TrimSpace(blindText(j.Blind)))
	}
}

// untimed is the headline where the system told of no request. The load tool may
// have timed them all the same: that is said, and explains nothing.
func untimed(loads []evidence.LoadRun) string {
	text := "No request latency was seen: neither a latency histogram nor a server span lies in the window, so that nothing can be said about slowness."
	for i := range loads {
		if all := slices.IndexFunc(loads[i].Requests, func(s evidence.LoadStat) bool { return s.Name == "" }); all >= 0 {
			s := loads[i].Requests[all]
			text += fmt.Sprintf(" %s alone timed them: %.0f in all, %.0f failed, p95 %s.", loads[i].Tool, s.Count, s.Failed, latency(s.P95))
		}
	}
	return text
}

// causeHeadline is the report's first line: what is slow, why, what fixing it
// buys.
func causeHeadline(causes []*Hypothesis) string {
	h := causes[0]
	i := h.Impact
	about := "about"
	if i.AtMost {
		about = "at best"
	}
	what, then := place(i.Operation)+" has", ""
	if i.Spell != nil {
		what, then = "From "+i.Spell.When()+" "+place(i.Operation)+" had", " then"
	}
	text := fmt.Sprintf("%s a p%.0f of %s. %s: %s, %s. Without it the p%.0f%s would be %s %s.",
		what, i.Percentile*100, latency(i.Now), belief(h.Score), short(h.Rule.Title), place(h.Subject), i.Percentile*100, then, about, latency(i.Then))
	if n := len(causes) - 1; n > 0 {
		text += fmt.Sprintf(" %d further cause%s below.", n, plural(n))
	}
	return text
}

// short is a rule's title up to its explanation: "Missing index".
func short(title string) string {
	text, _, _ := strings.Cut(title, ": ")
	return text
}

// placeRunes bounds what a headline says of a resource, such as a statement.
const placeRunes = 60

// place names an entity for a headline: without addresses, which change with
// every restart and say nothing to a reader, where it has another name.
func place(e evidence.Entity) string {
	var words []string
	for _, s := range []string{e.Service, e.Operation} {
		if s != "" {
			words = append(words, s)
		}
	}
	text := strings.Join(words, " ")
	resource, _, _ := strings.Cut(e.Resource, ": ")
	names := slices.DeleteFunc(strings.Fields(resource), isAddress)
	resource = strings.Join(names, " ")
	resource = shortened(resource)
	switch {
	case resource == "" && text == "":
		return cmp.Or(e.Resource, e.Instance)
	case resource == "" || resource == text:
		return text
	case text == "":
		return resource
	}
	return text + " (" + resource + ")"
}

// isAddress recognises host:port and bare IP addresses.
func isAddress(s string) bool {
	if host, port, err := net.SplitHostPort(s); err == nil && host != "" {
		n, err := strconv.Atoi(port)
		return err == nil && n > 0
	}
	return net.ParseIP(s) != nil
}

// latency writes a duration with three digits: 412 ms, 1.86 s.
func latency(s float64) string {
	switch {
	case s >= 9.995:
		return fmt.Sprintf("%.1f s", s)
	case s >= 0.9995:
		return fmt.Sprintf("%.2f s", s)
	case s >= 0.00995 || s == 0:
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.1f ms", s*1000)
}

// belief puts a score in words.
func belief(score float64) string {
	switch {
	case score >= 0.85:
		return "Culprit"
	case score >= 0.7:
		return "Probable culprit"
	}
	return "Possible culprit"
}

func unexplained(f *analyzers.Facts, leads []*Hypothesis) string {
	s := &f.Slow[0]
	text := fmt.Sprintf("%s is slow (p95 %s; %s), and no cause reached the bar of evidence.", place(s.Entity), latency(s.P95), s.Why)
	if s.Spell != nil {
		text = fmt.Sprintf("%s was slow for a while (%s), and no cause reached the bar of evidence.", place(s.Entity), s.Why)
	}
	return text + whereSpent(f.Traces, s.Entity) + bestLead(s, leads)
}

// bestLead to why an operation is slow: what slows it by its own measure, or
// lies in its service, before what was seen elsewhere.
func bestLead(s *analyzers.Symptom, leads []*Hypothesis) string {
	if len(leads) == 0 {
		return ""
	}
	near := func(h *Hypothesis) bool {
		return h.Impact != nil && h.Impact.Operation == s.Entity || h.Subject.Service == s.Entity.Service
	}
	best := leads[max(0, slices.IndexFunc(leads, near))]
	return fmt.Sprintf(" The best lead: %s, %s.", short(best.Rule.Title), place(best.Subject))
}

const (
	// felt is the latency up to which an answer seems instant: 0.1 s (Nielsen,
	// Usability Engineering, 1993).
	felt = 0.1
	// unevenRatio: where a twentieth of the requests take ten times as long as
	// the usual one, what they wait for is not what the others do (Dean and
	// Barroso, The Tail at Scale, CACM 56, 2013).
	unevenRatio = 10
)

// mostUneven is the operation with the longest tail of those whose slow
// requests are of another kind than the usual ones, by what was counted: a
// sample of traces holds more slow ones than there are. A run that was named as
// healthy says what is usual. Nil where none is.
func mostUneven(f *analyzers.Facts) (worst *analyzers.Symptom) {
	for i := range f.Symptoms {
		s := &f.Symptoms[i]
		long := s.P95 >= felt && s.P50 > 0 && max(s.P95Low, felt) >= unevenRatio*s.P50
		if long && s.Counted() && !s.AgainstRun() && s.Requests >= minRunRequests && (worst == nil || s.P95 > worst.P95) {
			worst = s
		}
	}
	return worst
}

func uneven(s *analyzers.Symptom, leads []*Hypothesis) string {
	return fmt.Sprintf("One request in twenty to %s takes %s or more, %.0f times the usual one of %s, and no cause reached the bar of evidence.%s",
		place(s.Entity), latency(s.P95), s.P95/s.P50, latency(s.P50), bestLead(s, leads))
}

// mostOfTime is the share of its slow requests that one thing must hold for a
// headline to send the reader there.
const mostOfTime = 0.5

// shortened to what a sentence can bear of a name that may be a statement.
func shortened(name string) string {
	if r := []rune(name); len(r) > placeRunes {
		return strings.TrimSpace(string(r[:placeRunes-1])) + "…"
	}
	return name
}

// whereSpent names what held up the slow requests of an operation for most of
// their time: it is not why, but where to look.
func whereSpent(traces []*analyzers.Trace, e evidence.Entity) string {
	l := analyzers.LedgerOf(traces, e)
	if l == nil || len(l.Lines) == 0 {
		return ""
	}
	most := slices.MaxFunc(l.Lines, func(a, b analyzers.LedgerLine) int { return cmp.Compare(a.TailTime, b.TailTime) })
	if most.TailTime < mostOfTime*l.TailTime {
		return ""
	}
	return fmt.Sprintf(" Of the %s that one of its slow requests takes, %s pass in %s (%s).", latency(l.TailTime), latency(most.TailTime), shortened(most.What), most.Whose())
}

// healthy is only as sure as the sight is full: what was not read stands first.
func healthy(f *analyzers.Facts, blind []Blind) string {
	worst := f.Symptoms[0]
	for _, s := range f.Symptoms {
		if s.P95 > worst.P95 {
			worst = s
		}
	}
	slowest := fmt.Sprintf("no operation is slow. The slowest is %s with a p95 of %s", place(worst.Entity), latency(worst.P95))
	if len(blind) == 0 {
		return "No problem found: " + slowest + "."
	}
	return fmt.Sprintf("Not an all-clear, for %s: in what was read, %s (%s).", notRead(blind), slowest, heldAgainst(&worst))
}

// heldAgainst says what makes an operation pass for not slow.
func heldAgainst(s *analyzers.Symptom) string {
	if s.BaselineP95 > 0 {
		return fmt.Sprintf("%s: %s", s.BaselineNote, latency(s.BaselineP95))
	}
	return "without a baseline, held against 1 s alone"
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
