package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Gatling up to 3.11 logs tab-separated records into simulation.log:
//
//	RUN      class, id, start, description, version
//	USER     scenario, START or END, time          (until 3.3 with the user's number)
//	REQUEST  groups, name, start, end, OK or KO, message
//
// Until 3.3 the user's number stands before the groups, and before 3.0 the
// scenario before that. From 3.12 on the log is binary and known to Gatling
// alone: then js/stats.json of the report is read. Both formats are written
// after what is published of them, and were not recorded from the tool.

const (
	gatlingLog   = "simulation.log"
	gatlingStats = "js/stats.json"
)

func parseGatlingLog(in io.Reader, from int64) (evidence.LoadRun, error) {
	g := &gatling{samples: newSamples(from), users: map[string][2]int64{}}
	err := eachLine(in, func(line []byte) error { return g.take(strings.Split(string(line), "\t")) })
	if err != nil && g.read == 0 {
		return evidence.LoadRun{}, fmt.Errorf("gatling: %w", err)
	}
	run := g.run()
	if err != nil {
		run.Notes = append(run.Notes, fmt.Sprintf("read %d requests alone: %v", g.read, err))
	}
	return run, nil
}

type gatling struct {
	samples *samples
	users   map[string][2]int64 // scenario: first and last time of its users
	read    int
}

func (g *gatling) take(fields []string) error {
	switch fields[0] {
	case "REQUEST":
		return g.request(fields)
	case "USER":
		return g.user(fields)
	}
	return nil // RUN, GROUP, ERROR and what later versions add
}

var errNotGatling = errors.New("a record of a shape that no version of Gatling is known to write")

// request finds its fields from the verdict backwards: what stands before them
// differs by version.
func (g *gatling) request(fields []string) error {
	i := slices.IndexFunc(fields, func(f string) bool { return f == "OK" || f == "KO" })
	if i < 5 {
		return errNotGatling
	}
	start, err1 := strconv.ParseInt(fields[i-2], 10, 64)
	end, err2 := strconv.ParseInt(fields[i-1], 10, 64)
	if err1 != nil || err2 != nil || end < start {
		return errNotGatling
	}
	g.read++
	s := sample{name: fields[i-3], at: start, elapsed: float64(end-start) / 1000, failed: fields[i] == "KO"}
	if groups := fields[i-4]; groups != "" {
		s.name = strings.ReplaceAll(groups, ",", " / ") + " / " + s.name
	}
	if i == 7 {
		s.module = fields[1]
	}
	g.samples.add(s)
	return nil
}

// user notes when a scenario had users: the times stand behind START or END.
func (g *gatling) user(fields []string) error {
	i := slices.IndexFunc(fields, func(f string) bool { return f == "START" || f == "END" })
	if i < 2 || i+1 >= len(fields) {
		return errNotGatling
	}
	at, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
	if err != nil {
		return errNotGatling
	}
	span, seen := g.users[fields[1]]
	if !seen && len(g.users) >= maxModules {
		return nil
	}
	if !seen {
		span = [2]int64{at, at}
	}
	g.users[fields[1]] = [2]int64{min(span[0], at), max(span[1], at)}
	return nil
}

// run adds the scenarios whose requests the log does not tell apart.
func (g *gatling) run() evidence.LoadRun {
	run := g.samples.run("gatling")
	for name, span := range g.users {
		known := slices.ContainsFunc(run.Modules, func(m evidence.LoadModule) bool { return m.Name == name })
		if !known && span[0] >= g.samples.from {
			run.Modules = append(run.Modules, evidence.LoadModule{Name: name, Start: span[0], End: span[1]})
		}
	}
	slices.SortFunc(run.Modules, func(a, b evidence.LoadModule) int {
		return 2*int(min(1, max(-1, a.Start-b.Start))) + strings.Compare(a.Name, b.Name)
	})
	return run
}

// gatlingGroup is a node of stats.json; numbers are ms, and "-" where there is
// none.
type gatlingGroup struct {
	Type  string `json:"type"` // GROUP or REQUEST
	Name  string `json:"name"`
	Path  string `json:"path"`
	Stats struct {
		Requests gatlingFigures `json:"numberOfRequests"`
		Max      gatlingFigures `json:"maxResponseTime"`
		P50      gatlingFigures `json:"percentiles1"`
		P95      gatlingFigures `json:"percentiles3"`
		P99      gatlingFigures `json:"percentiles4"`
	} `json:"stats"`
	Contents map[string]gatlingGroup `json:"contents"`
}

// gatlingFigures are numbers, or their texts in early versions.
type gatlingFigures struct {
	Total json.RawMessage `json:"total"`
	Ko    json.RawMessage `json:"ko"`
}

func gatlingNumber(raw json.RawMessage) float64 {
	v, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(v >= 0) || v > 1e15 {
		return 0
	}
	return v
}

// parseGatlingStats reads the statistics of a report. Their percentiles are
// 50, 75, 95 and 99 unless gatling.conf asks for others, which the file does
// not tell.
func parseGatlingStats(content []byte) (evidence.LoadRun, error) {
	var root gatlingGroup
	if err := json.Unmarshal(content, &root); err != nil || root.Type != "GROUP" {
		return evidence.LoadRun{}, errors.New("no stats.json of Gatling")
	}
	run := evidence.LoadRun{Tool: "gatling", Requests: []evidence.LoadStat{root.stat("")},
		Notes: []string{"percentiles of Gatling's report are taken to be 50, 75, 95 and 99, as they are unless gatling.conf asks for others"}}
	root.leaves(func(g *gatlingGroup) { run.Requests = append(run.Requests, g.stat(g.Path)) })
	slices.SortFunc(run.Requests, func(a, b evidence.LoadStat) int { return strings.Compare(a.Name, b.Name) })
	run.Requests = run.Requests[:min(len(run.Requests), maxLabels)]
	return run, nil
}

func (g *gatlingGroup) leaves(each func(*gatlingGroup)) {
	for _, c := range g.Contents {
		if c.Type == "REQUEST" {
			each(&c)
		}
		c.leaves(each)
	}
}

func (g *gatlingGroup) stat(name string) evidence.LoadStat {
	ms := func(f gatlingFigures) float64 { return gatlingNumber(f.Total) / 1000 }
	return evidence.LoadStat{Name: name, Count: gatlingNumber(g.Stats.Requests.Total), Failed: gatlingNumber(g.Stats.Requests.Ko),
		P50: ms(g.Stats.P50), P95: ms(g.Stats.P95), P99: ms(g.Stats.P99), Max: ms(g.Stats.Max)}
}
