package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// maxEventsBytes bounds a file of events, maxEvents what is taken of it.
	maxEventsBytes = 4 << 20
	maxEvents      = 1000
	// eventsBefore the window may have to do with it; what is older has not.
	eventsBefore = time.Hour
)

// eventLine is one event as a person or a pipeline writes it.
type eventLine struct {
	Time   string          `yaml:"time" json:"time"` // RFC 3339 or Unix seconds
	End    string          `yaml:"end" json:"end"`   // the same, of what lasts
	Kind   string          `yaml:"kind" json:"kind"`
	Text   string          `yaml:"text" json:"text"`
	Entity evidence.Entity `yaml:"entity" json:"entity"`
}

// eventsFile is what a file of events held.
type eventsFile struct {
	name   string // "" for none
	events []evidence.Event
}

// readEvents reads a file strictly: a YAML list, or JSON lines. No path is no
// events.
func readEvents(path string) (*eventsFile, error) {
	if path == "" {
		return &eventsFile{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the events: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEventsBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the events: %w", err)
	}
	if len(text) > maxEventsBytes {
		return nil, fmt.Errorf("events %s: larger than %d MiB", path, maxEventsBytes>>20)
	}
	lines, err := parseEvents(text)
	if err != nil {
		return nil, fmt.Errorf("events %s: %w", path, err)
	}
	out := &eventsFile{name: filepath.Base(path)}
	for i, l := range lines {
		e, err := l.event()
		if err != nil {
			return nil, fmt.Errorf("events %s: event %d: %w", path, i+1, err)
		}
		out.events = append(out.events, e)
	}
	return out, nil
}

func parseEvents(text []byte) (lines []eventLine, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseEventLines(text)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&lines); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(yamlText(err))
	}
	return lines, nil
}

func parseEventLines(text []byte) (lines []eventLine, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	for {
		var l struct {
			eventLine
			Time any `json:"time"` // a number as well as a string
			End  any `json:"end"`
		}
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return lines, nil
		case err != nil:
			return nil, fmt.Errorf("event %d: %w", len(lines)+1, err)
		}
		l.eventLine.Time, l.eventLine.End = timeText(l.Time), timeText(l.End)
		lines = append(lines, l.eventLine)
	}
}

func timeText(v any) string {
	if seconds, ok := v.(float64); ok {
		return fmt.Sprintf("%.3f", seconds)
	}
	s, _ := v.(string)
	return s
}

func (l eventLine) event() (evidence.Event, error) {
	t, err := parseTime("time", l.Time)
	if err != nil {
		return evidence.Event{}, err
	}
	if l.Kind == "" && l.Text == "" {
		return evidence.Event{}, errors.New("neither kind nor text says what happened")
	}
	e := evidence.Event{At: t.UnixMilli(), Kind: cmp.Or(l.Kind, "event"), Text: cmp.Or(l.Text, l.Kind), Entity: l.Entity}
	if l.End != "" {
		end, err := parseTime("end", l.End)
		if err != nil {
			return evidence.Event{}, err
		}
		if e.End = end.UnixMilli(); e.End <= e.At {
			return evidence.Event{}, errors.New("it ends before it begins")
		}
	}
	return e, nil
}

// addTo puts the events of the window and shortly before it into the evidence,
// with an account of what was left out.
func (f *eventsFile) addTo(b *evidence.Bundle) {
	if f.name == "" {
		return
	}
	source := evidence.Source{Name: "events", Status: evidence.StatusOK, Target: f.name}
	from, to := b.Window.Start.Add(-eventsBefore).UnixMilli(), b.Window.End.UnixMilli()
	outside := 0
	for _, e := range f.events {
		if max(e.At, e.End) < from || e.At > to {
			outside++
			continue
		}
		if source.Items < maxEvents {
			b.Events = append(b.Events, e)
		}
		source.Items++
	}
	if outside > 0 {
		source.Notes = append(source.Notes, fmt.Sprintf("%d events lie outside of the window and the hour before it", outside))
	}
	if source.Items > maxEvents {
		source.Notes = append(source.Notes, fmt.Sprintf("%d of %d events were taken, the first in the file", maxEvents, source.Items))
		source.Items = maxEvents
	}
	b.Sources = append(b.Sources, source)
	b.Sort()
}

// addEventsAfter reads the events once the load has ended; a file that is
// missing or wrong by now is a gap.
func addEventsAfter(b *evidence.Bundle, path string) {
	f, err := readEvents(path)
	if err == nil {
		f.addTo(b)
		return
	}
	b.Sources = append(b.Sources, evidence.Source{Name: "events", Status: evidence.StatusFailed, Target: filepath.Base(path)})
	b.Gaps = append(b.Gaps, evidence.Gap{Source: "events", Reason: err.Error(), Remedy: "write the events with time, kind and text, and analyze the evidence again with --events"})
	b.Sort()
}
