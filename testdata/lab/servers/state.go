package servers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// State is all that was started and made, kept in a file of the lab's folder
// so that another process, later, can end exactly that.
type State struct {
	ID        string    `json:"id"`
	Dir       string    `json:"dir"`
	Scenario  string    `json:"scenario"`
	Processes []Process `json:"processes"`
	Cgroups   []string  `json:"cgroups"` // folders, in the order they were made
	Notes     []string  `json:"notes"`   // what this machine does without
	Addresses Addresses `json:"addresses"`

	again map[string]starter // of the shop's processes, by name; known to who started them
	mu    sync.Mutex         // for who restarts several at once
}

// Addresses are where the lab can be reached.
type Addresses struct {
	Batch      string `json:"batch"`      // base URL of what does jobs; "" where nothing does
	Gateway    string `json:"gateway"`    // base URL
	Prometheus string `json:"prometheus"` // base URL
	Traces     string `json:"traces"`     // base URL of Jaeger's HTTP API; "" without Jaeger
	TracesGRPC string `json:"traces_grpc"`
	OTLP       string `json:"otlp"`      // base URL of the OTLP/HTTP receiver
	Owner      string `json:"owner"`     // DSN of the shop's own role, past any pooler
	PgBouncer  string `json:"pgbouncer"` // DSN of the console; "" without PgBouncer
	Postgres   string `json:"postgres"`  // DSN of a role that may read statistics
	Redis      string `json:"redis"`     // host:port
}

// ErrNotUp is returned by Load where no lab is.
var ErrNotUp = errors.New("no lab is up")

func stateFile(dir string) string { return filepath.Join(dir, "lab.json") }

// Load reads the state of the lab in a folder.
func Load(dir string) (*State, error) {
	text, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotUp
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("decode state %s: %w", stateFile(dir), err)
	}
	return &s, nil
}

// save replaces the file as a whole: half a state would leave servers behind.
func (s *State) save() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	beside := stateFile(s.Dir) + ".new"
	if err := os.WriteFile(beside, text, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return os.Rename(beside, stateFile(s.Dir))
}

// Down ends the lab of a folder and removes what it made.
func Down(dir string) error {
	s, err := Load(dir)
	if errors.Is(err, ErrNotUp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(end(s.Processes, grace), removeFolders(s.Cgroups)); err != nil {
		return fmt.Errorf("take the lab down: %w", err)
	}
	return os.RemoveAll(s.Dir)
}
