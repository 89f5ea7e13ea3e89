package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// run is one recorded run of the lab.
type run struct {
	scenario string
	handicap string // under which it was recorded; "": full sight
	path     string
	planted  planted
	bundle   *evidence.Bundle
}

// planted is what a scenario file says is wrong.
type planted struct {
	Expect *cause  `yaml:"expect"` // nil: nothing
	Pair   []cause `yaml:"pair"`   // planted as well, a cause of its own
	Also   []cause `yaml:"also"`   // true besides, as effects
}

// cause is what a diagnosis should name; fields of the subject are substrings.
type cause struct {
	Rule, Service, Operation, Resource string
}

func (c cause) is(h *rules.Hypothesis) bool { return c.Rule == h.Rule.ID && c.at(h.Subject) }

// byAnother says whether a cause names the mechanism by a witness that knows what
// is done and not who has it done: then the operation that it slows tells.
func (c cause) byAnother(h *rules.Hypothesis) bool {
	return (h.Rule.ID == c.Rule || alike[h.Rule.ID] == c.Rule) && h.Impact != nil && c.at(h.Impact.Operation)
}

// at says whether an entity is where the cause is, whatever the mechanism.
func (c cause) at(e evidence.Entity) bool {
	return within(c.Service, e.Service) && within(c.Operation, e.Operation) && within(c.Resource, e.Resource)
}

func within(want, got string) bool {
	return strings.Contains(strings.ToLower(got), strings.ToLower(want))
}

// readRuns reads the runs below a folder, in the order of their names.
func readRuns(dir, scenarios string) ([]run, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.culprit"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no recorded run in %s/*/*.culprit (%v): the lab records them", dir, err)
	}
	var all []run
	for _, path := range paths {
		r := run{path: path}
		r.scenario, r.handicap, _ = strings.Cut(filepath.Base(filepath.Dir(path)), "+")
		if r.planted, err = readPlanted(plantedFile(path, scenarios, r.scenario)); err != nil {
			return nil, err
		}
		if r.bundle, err = bundle.ReadFile(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y run) int {
		return cmp.Or(cmp.Compare(x.scenario, y.scenario), cmp.Compare(x.handicap, y.handicap), cmp.Compare(x.path, y.path))
	})
	return all, nil
}

// plantedFile says what is wrong in a run: beside it where names were others
// than the scenario's.
func plantedFile(run, scenarios, name string) string {
	own := filepath.Join(filepath.Dir(run), "planted.yaml")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return filepath.Join(scenarios, name+".yaml")
}

func readPlanted(path string) (p planted, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if err := yaml.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
