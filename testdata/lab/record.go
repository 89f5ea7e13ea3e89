package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// record keeps a bundle where the tests judge it again.
func (a *app) record(want scenario.Scenario, bundle string) error {
	return a.keep(want, bundle, filepath.Join(a.source, "..", "scenarios", a.handicap.of(want), "run.culprit"))
}

// keep a bundle for others to judge. What was seen under other names is
// expected under them: that is written beside it.
func (a *app) keep(want scenario.Scenario, bundle, to string) error {
	if err := copyFile(bundle, to); err != nil {
		return err
	}
	if a.handicap.sight.Names == nil {
		return nil
	}
	text, err := yaml.Marshal(struct {
		Expect *scenario.Cause
		Also   []scenario.Cause `yaml:",omitempty"`
		Pair   []scenario.Cause `yaml:",omitempty"`
	}{want.Expect, want.Also, want.Pair})
	if err != nil {
		return fmt.Errorf("record what was planted: %w", err)
	}
	return os.WriteFile(filepath.Join(filepath.Dir(to), "planted.yaml"), text, 0o644)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("record bundle: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("record bundle: %w", err)
	}
	return os.WriteFile(to, text, 0o644)
}
