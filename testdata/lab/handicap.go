package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// handicap is poor sight: the same fault in the same system, of which culprit
// sees less, or sees it under other names. Any scenario runs under any.
type handicap struct {
	name   string
	says   string
	blind  []string // sources that culprit is not given
	sight  settings.Sight
	scrape time.Duration // between scrapes of every target; 0: each has its own
}

// Sources that culprit can be given.
const (
	prometheusSource = "prometheus"
	tracesSource     = "traces"
	postgresSource   = "postgres"
)

var handicaps = []handicap{
	{name: "sampled", says: "one request in a hundred is traced", sight: settings.Sight{Sampling: 0.01}},
	{name: "no-traces", says: "no trace store", blind: []string{tracesSource}},
	{name: "no-prometheus", says: "no metrics", blind: []string{prometheusSource}},
	{name: "no-postgres", says: "no access to the database", blind: []string{postgresSource}},
	{name: "slow-scrape", says: "everything is scraped once a minute", scrape: time.Minute},
	{name: "old-conventions", says: "spans and latency under the names that OpenTelemetry had before they were stable", sight: settings.Sight{OldConventions: true}},
	{name: "renamed", says: "every service, table, route and metric prefix has another name", sight: settings.Sight{MetricPrefix: "museum_", Names: names.Others()}},
}

// handicapOf is the one that the flag names; none for "".
func handicapOf(name string) (handicap, error) {
	if name == "" {
		return handicap{}, nil
	}
	at := slices.IndexFunc(handicaps, func(h handicap) bool { return h.name == name })
	if at < 0 {
		return handicap{}, usageError{fmt.Errorf("no handicap is called %q, see lab list", name)}
	}
	return handicaps[at], nil
}

// hides says whether culprit is not given a source.
func (h handicap) hides(source string) bool { return slices.Contains(h.blind, source) }

// of names a run of a scenario: recordings and reports are kept by it.
func (h handicap) of(s scenario.Scenario) string {
	if h.name == "" {
		return s.Name
	}
	return s.Name + "+" + h.name
}

// expected is what a good diagnosis says under the names that it sees.
func (h handicap) expected(s scenario.Scenario) scenario.Scenario {
	return s.Renamed(h.sight.Names.Rename)
}

// sessions of a scenario, under the names that tables have here.
func (h handicap) sessions(s scenario.Scenario) []scenario.Session {
	out := slices.Clone(s.Fault.Sessions)
	for i, session := range out {
		out[i].SQL = make([]string, len(session.SQL))
		for k, text := range session.SQL {
			out[i].SQL[k] = h.sight.Names.Rename(text)
		}
	}
	return out
}
