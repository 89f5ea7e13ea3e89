package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// reference is what clients felt when nothing was wrong on this machine.
type reference struct {
	Felt   load.Summary  `json:"felt"`
	Under  scenario.Load `json:"under"`
	Others float64       `json:"others_cores"`
}

// healthyLoad returns the reference: the run at hand if nothing was planted in
// it, else the one that was kept for this load. A disturbed run does not
// replace a quiet one. Without a reference for this load the result is empty.
func healthyLoad(s scenario.Scenario, now load.Summary, cost cost) (reference, error) {
	cache, err := means.CacheDir()
	if err != nil {
		return reference{}, err
	}
	path, err := referencePath(cache, s.Load)
	if err != nil {
		return reference{}, err
	}
	kept, err := readReference(path)
	if err != nil || !s.Sound() {
		return kept, err
	}
	fresh := reference{Felt: now, Under: s.Load, Others: cost.others()}
	if kept.Felt.Requests > 0 && fresh.Others > max(disturbed, kept.Others) {
		return kept, nil
	}
	text, err := json.Marshal(fresh)
	if err != nil {
		return fresh, fmt.Errorf("encode healthy load: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fresh, fmt.Errorf("create cache: %w", err)
	}
	return fresh, os.WriteFile(path, text, 0o644)
}

// referencePath is a file for every load: only like is compared with like.
func referencePath(cache string, l scenario.Load) (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("encode load: %w", err)
	}
	h := fnv.New64a()
	h.Write(text)
	return filepath.Join(cache, fmt.Sprintf("healthy-%016x.json", h.Sum64())), nil
}

func readReference(path string) (reference, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return reference{}, nil
	}
	if err != nil {
		return reference{}, fmt.Errorf("read healthy load: %w", err)
	}
	var kept reference
	if err := json.Unmarshal(text, &kept); err != nil {
		return reference{}, fmt.Errorf("decode healthy load %s: %w", path, err)
	}
	return kept, nil
}
