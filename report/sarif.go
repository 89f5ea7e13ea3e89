package report

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool       sarifTool     `json:"tool"`
	Results    []sarifResult `json:"results"`
	Properties sarifVerdict  `json:"properties"`
}

type sarifVerdict struct {
	Status   string `json:"verdict"`
	Headline string `json:"headline"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string       `json:"id"`
	Short sarifMessage `json:"shortDescription"`
	Full  sarifMessage `json:"fullDescription"`
	Help  sarifMessage `json:"help"`
}

type sarifMessage struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Rank         float64           `json:"rank"` // 0..100
	Message      sarifMessage      `json:"message"`
	Locations    []sarifLocation   `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	Logical []sarifLogical `json:"logicalLocations"`
}

type sarifLogical struct {
	Name string `json:"name"`
	Full string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

// writeSARIF has a result for every cause, at logical locations: a load run
// has services and operations, not files.
func writeSARIF(w io.Writer, r *Report) error {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: r.Generator.Name, Version: r.Generator.Version, Rules: []sarifRule{}}},
		Results:    []sarifResult{},
		Properties: sarifVerdict{string(r.Verdict.Status), r.Verdict.Headline},
	}
	for _, c := range r.Causes {
		run.Results = append(run.Results, sarifOf(c, run.Tool.Driver.index(c)))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// index finds a cause's rule in the list, or adds it.
func (d *sarifDriver) index(c Cause) int {
	if i := slices.IndexFunc(d.Rules, func(x sarifRule) bool { return x.ID == c.Rule }); i >= 0 {
		return i
	}
	d.Rules = append(d.Rules, sarifRule{ID: c.Rule, Short: sarifMessage{c.Title}, Full: sarifMessage{or(c.Mechanism, c.Title)}, Help: sarifMessage{or(strings.Join(c.Remedy, "\n"), c.Title)}})
	return len(d.Rules) - 1
}

func sarifOf(c Cause, rule int) sarifResult {
	level := "warning"
	if c.Score >= 0.6 {
		level = "error"
	}
	return sarifResult{
		RuleID: c.Rule, RuleIndex: rule, Level: level, Rank: 100 * c.Score,
		Message:      sarifMessage{c.Title + ": " + entityText(c.Subject) + ". " + nowThen(c.Impact)},
		Locations:    []sarifLocation{{sarifLogicals(c)}},
		Fingerprints: map[string]string{"culprit/v1": c.Fingerprint},
	}
}

func sarifLogicals(c Cause) []sarifLogical {
	full := or(entityText(c.Subject), c.Rule)
	out := []sarifLogical{}
	for _, p := range parts(c.Subject) {
		out = append(out, sarifLogical{Name: p.Value, Full: full, Kind: p.Name})
	}
	if len(out) == 0 {
		out = append(out, sarifLogical{Name: c.Rule, Full: full, Kind: "resource"})
	}
	return out
}
