package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/report"
)

// mostSaid bounds the state; the oldest entries go first.
const mostSaid = 10_000

// said is what was said where: for each sink, target and cause the run of which
// it was said last. It is written as a whole after every message that arrived,
// so that a process that ends in between says one again rather than none.
type said struct {
	mu      sync.Mutex
	path    string
	Entries map[string]saidEntry `json:"entries"`
}

type saidEntry struct {
	Key string    `json:"key"` // of the run and the change
	At  time.Time `json:"at"`
}

func openSaid(path string) (*said, error) {
	s := &said{path: path, Entries: map[string]saidEntry{}}
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, s)
	}
	if err != nil {
		return nil, fmt.Errorf("notify: reading the state %s: %w", path, err)
	}
	if s.Entries == nil {
		s.Entries = map[string]saidEntry{}
	}
	return s, nil
}

// key of a notice is the same for the same run of the same target with the same
// changes.
func (n *Notice) key() string {
	parts := []string{n.Target, n.Report.Window.Start.UTC().Format(time.RFC3339Nano), n.Report.Window.End.UTC().Format(time.RFC3339Nano)}
	for _, c := range n.Changes {
		parts = append(parts, c.Change, c.Fingerprint)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}

func place(sink string, n *Notice, c report.CauseChange) string {
	return strings.Join([]string{sink, n.Target, c.Fingerprint}, "\x00")
}

// runOf one change of a notice.
func runOf(n *Notice, c report.CauseChange) string {
	one := Notice{Target: n.Target, Report: n.Report, Changes: []report.CauseChange{c}}
	return one.key()
}

func (s *said) unsaid(sink string, n *Notice, wanted []report.CauseChange) (out []report.CauseChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range wanted {
		if s.Entries[place(sink, n, c)].Key != runOf(n, c) {
			out = append(out, c)
		}
	}
	return out
}

func (s *said) add(sink string, n *Notice, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range n.Changes {
		s.Entries[place(sink, n, c)] = saidEntry{runOf(n, c), now}
	}
	s.trim()
	if s.path == "" {
		return nil
	}
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(s.path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		return fmt.Errorf("notify: writing the state: %w", err)
	}
	return nil
}

func (s *said) trim() {
	if len(s.Entries) <= mostSaid {
		return
	}
	keys := make([]string, 0, len(s.Entries))
	for k := range s.Entries {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return s.Entries[a].At.Compare(s.Entries[b].At) })
	for _, k := range keys[:len(keys)-mostSaid] {
		delete(s.Entries, k)
	}
}
