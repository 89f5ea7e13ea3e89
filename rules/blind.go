package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Blind is a witness that told nothing, and what it alone could have shown.
type Blind struct {
	Witness string   // "traces", "metrics", "PostgreSQL"
	Causes  []string // titles of the causes that could not be weighed without it
}

// witnesses are those that every system has, by the source that reads each.
// Without PostgreSQL in sight nothing is said of it: it may not be there.
var witnesses = []struct{ name, source string }{{"traces", "traces"}, {"metrics", "prometheus"}, {"PostgreSQL", "postgres"}}

// namedBlind bounds how many causes a sentence names.
const namedBlind = 5

// blindTo lists the missing witnesses with the causes of the catalogue that
// nothing left can show: none of their subjects was looked for, since what
// their analyzers need was not there.
func (c *Catalogue) blindTo(b *evidence.Bundle, r *analyzers.Result) []Blind {
	var out []Blind
	for _, w := range witnesses {
		if told(b, w.source) || w.source == "postgres" && !usesPostgres(b) {
			continue
		}
		blind := Blind{Witness: w.name}
		for _, rule := range c.Rules {
			if rule.As == AsCause && rule.unseenWithout(w.source, r) {
				blind.Causes = append(blind.Causes, short(rule.Title))
			}
		}
		if len(blind.Causes) > 0 {
			out = append(out, blind)
		}
	}
	return out
}

// told says whether a source brought anything.
func told(b *evidence.Bundle, source string) bool {
	asked := slices.ContainsFunc(b.Sources, func(s evidence.Source) bool {
		return s.Name == source && s.Status != evidence.StatusFailed && s.Status != evidence.StatusAbsent
	})
	switch source {
	case "traces":
		return len(b.Spans) > 0
	case "postgres":
		return len(b.Postgres) > 0
	}
	return asked || len(b.Sources) == 0 && len(b.Series)+len(b.Histograms) > 0
}

// usesPostgres says whether the system is seen to have such a database.
func usesPostgres(b *evidence.Bundle) bool {
	return slices.ContainsFunc(b.Spans, func(s evidence.Span) bool {
		return strings.HasPrefix(s.Attr(evidence.AttrDBSystem), "postgres")
	}) || slices.ContainsFunc(b.Series, func(s evidence.Series) bool {
		return strings.HasPrefix(s.Query, "pg_") || strings.Contains(s.Query, "(pg_")
	})
}

// unseenWithout says whether no subject of a rule could be looked for, for want
// of a source.
func (r *Rule) unseenWithout(source string, result *analyzers.Result) bool {
	for _, k := range r.Subject {
		lacks := slices.ContainsFunc(result.Skips, func(s analyzers.Skip) bool {
			return slices.Contains(s.Finds, k) && slices.ContainsFunc(s.Missing, func(m evidence.Kind) bool { return sourceOf(m) == source })
		})
		if !lacks {
			return false
		}
	}
	return true
}

// sourceOf evidence of a kind.
func sourceOf(k evidence.Kind) string {
	switch {
	case k == evidence.Spans:
		return "traces"
	case strings.HasPrefix(string(k), "postgres."):
		return "postgres"
	case k == evidence.LoadRuns || k == evidence.LoadRequestStats:
		return "load"
	}
	return "prometheus"
}

// blindText is what a verdict adds: what was not looked at, and what it would
// show.
func blindText(blind []Blind) string {
	var text strings.Builder
	for _, w := range blind {
		named := w.Causes[:min(namedBlind, len(w.Causes))]
		fmt.Fprintf(&text, " Without %s, which %s not read, could not be seen: %s", w.Witness, w.was(), strings.Join(named, ", "))
		if n := len(w.Causes) - len(named); n > 0 {
			fmt.Fprintf(&text, ", and %d more", n)
		}
		text.WriteString(".")
	}
	return text.String()
}

// notRead names the missing witnesses: "traces and metrics were not read".
func notRead(blind []Blind) string {
	names := make([]string, len(blind))
	for i, w := range blind {
		names[i] = w.Witness
	}
	was := "were"
	if len(blind) == 1 {
		was = blind[0].was()
	}
	return strings.Join(names, " and ") + " " + was + " not read"
}

func (w *Blind) was() string {
	if strings.HasSuffix(w.Witness, "s") {
		return "were"
	}
	return "was"
}
