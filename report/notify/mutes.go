package notify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/report"
)

// Mute is one decision not to be told of a cause, for a reason and a time. What
// it names must all match; a cause, by rule or fingerprint, must be named.
type Mute struct {
	Rule        string    `yaml:"rule"`
	Fingerprint string    `yaml:"fingerprint"`
	Target      string    `yaml:"target"`
	Service     string    `yaml:"service"`
	Reason      string    `yaml:"reason"`
	Until       time.Time `yaml:"until"` // RFC 3339; a mute without an end is refused
}

type mutes []Mute

// maxMutesBytes bounds the file.
const maxMutesBytes = 1 << 20

// readMutes reads the file anew for every report: it is edited while a service
// runs. A file that is not there has no mutes.
func readMutes(path string) (mutes, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("notify: reading the mutes: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxMutesBytes+1))
	if err != nil || len(content) > maxMutesBytes {
		return nil, fmt.Errorf("notify: mutes %s: unreadable, or larger than %d MiB", path, maxMutesBytes>>20)
	}
	var out mutes
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("notify: mutes %s: %w", path, err)
	}
	for i, m := range out {
		switch {
		case m.Rule == "" && m.Fingerprint == "":
			err = errors.New("it names no cause: give rule or fingerprint")
		case m.Reason == "":
			err = errors.New("it has no reason")
		case m.Until.IsZero():
			err = errors.New("it has no end: give until")
		}
		if err != nil {
			return nil, fmt.Errorf("notify: mutes %s: mute %d: %w", path, i+1, err)
		}
	}
	return out, nil
}

func (m *Mute) covers(c report.CauseChange, target string, now time.Time) bool {
	named := func(want, have string) bool { return want == "" || want == have }
	return now.Before(m.Until) && named(m.Rule, c.Rule) && named(m.Fingerprint, c.Fingerprint) && named(m.Target, target) && named(m.Service, c.Subject.Service)
}

// without leaves out what is muted now. That a muted cause was fixed is said: it
// ends an alert that was there before.
func (m mutes) without(changes []report.CauseChange, target string, now time.Time) []report.CauseChange {
	return slices.DeleteFunc(changes, func(c report.CauseChange) bool {
		return c.Change != "fixed" && slices.ContainsFunc(m, func(x Mute) bool { return x.covers(c, target, now) })
	})
}
