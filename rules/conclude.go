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
		j.Status, j.Headline = Inconclusive, unexplained(r.Facts.Slow[0], j.Leads)
	case len(j.Flaws) > 0:
		j.Status = RunUnusable
		j.Headline = fmt.Sprintf("Nothing was slow, but the system was not loaded as planned: %s.", j.Flaws[0].Finding.Text)
	default:
		j.Status, j.Headline = NoProblem, healthy(r.Facts, len(j.Blind) > 0)
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
	text := fmt.Sprintf("%s has a p%.0f of %s. %s: %s, %s. Without it the p%.0f would be %s %s.",
		place(i.Operation), i.Percentile*100, latency(i.Now), belief(h.Score), short(h.Rule.Title), place(h.Subject), i.Percentile*100, about, latency(i.Then))
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
	if r := []rune(resource); len(r) > placeRunes {
		resource = strings.TrimSpace(string(r[:placeRunes-1])) + "…"
	}
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

func unexplained(s analyzers.Symptom, leads []*Hypothesis) string {
	text := fmt.Sprintf("%s is slow (p95 %s; %s), and no cause reached the bar of evidence.", place(s.Entity), latency(s.P95), s.Why)
	if len(leads) > 0 {
		text += fmt.Sprintf(" The best lead: %s, %s.", short(leads[0].Rule.Title), place(leads[0].Subject))
	}
	return text
}

// healthy is only as sure as the sight is full.
func healthy(f *analyzers.Facts, blind bool) string {
	worst := f.Symptoms[0]
	for _, s := range f.Symptoms {
		if s.P95 > worst.P95 {
			worst = s
		}
	}
	found := "No problem found"
	if blind {
		found += " in what could be seen"
	}
	return fmt.Sprintf("%s: no operation is slow. The slowest is %s with a p95 of %s.", found, place(worst.Entity), latency(worst.P95))
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
