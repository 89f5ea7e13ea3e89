package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/culprit-rca/culprit/report"
)

// objectivesBlock is what a run shall keep, and where the reports of runs that
// did are kept to hold later ones against.
type objectivesBlock struct {
	Keep    []objectiveBlock `yaml:"keep"`
	Pass    *float64         `yaml:"pass"`    // weighted share that must hold, default 1
	History string           `yaml:"history"` // folder of passing runs' reports; "": none are kept
	Last    int              `yaml:"last"`    // passing runs that relative objectives are held against, default 5
}

type objectiveBlock struct {
	Name      string   `yaml:"name"`
	Service   string   `yaml:"service"`
	Operation string   `yaml:"operation"`
	Measure   string   `yaml:"measure"` // p50, p95, p99, error_ratio, rps
	Max       string   `yaml:"max"`     // 200ms; 0.01 for error_ratio
	Min       *float64 `yaml:"min"`     // for rps
	Relative  *float64 `yaml:"relative"`
	Weight    *float64 `yaml:"weight"` // default 1
	Key       bool     `yaml:"key"`
}

const (
	defaultLast = 5
	// keptPassing bounds the history; the oldest go.
	keptPassing = 50
)

func (b *objectivesBlock) validate() error {
	if p := b.pass(); !(p >= 0 && p <= 1) {
		return fmt.Errorf("pass %g is not within 0..1", p)
	}
	if b.Last < 0 {
		return fmt.Errorf("last %d is negative", b.Last)
	}
	_, err := b.objectives()
	return err
}

func (b *objectivesBlock) pass() float64 {
	if b.Pass == nil {
		return 1
	}
	return *b.Pass
}

func (b *objectivesBlock) objectives() ([]report.Objective, error) {
	var out []report.Objective
	for i, k := range b.Keep {
		o, err := k.objective()
		if err != nil {
			return nil, fmt.Errorf("%d (%s): %w", i+1, k.Name, err)
		}
		if o.Relative != nil && b.History == "" {
			return nil, fmt.Errorf("%d (%s): relative needs a history", i+1, k.Name)
		}
		out = append(out, o)
	}
	return out, nil
}

func (k *objectiveBlock) objective() (report.Objective, error) {
	o := report.Objective{Name: k.Name, Service: k.Service, Operation: k.Operation, Measure: k.Measure, Min: k.Min, Relative: k.Relative, Weight: 1, Key: k.Key}
	if k.Weight != nil {
		o.Weight = *k.Weight
	}
	limits := 0
	for _, given := range []bool{k.Max != "", k.Min != nil, k.Relative != nil} {
		if given {
			limits++
		}
	}
	switch {
	case k.Name == "":
		return o, errors.New("it has no name")
	case !slices.Contains(report.Measures, k.Measure):
		return o, fmt.Errorf("measure %q is none of %v", k.Measure, report.Measures)
	case limits != 1:
		return o, errors.New("give one of max, min, relative")
	case (k.Measure == report.MeasureRate) != (k.Min != nil) && k.Relative == nil:
		return o, errors.New("min is for rps, max for the other measures")
	case !(o.Weight > 0):
		return o, errors.New("weight is not positive")
	case k.Relative != nil && !(*k.Relative >= 0):
		return o, errors.New("relative is negative")
	}
	if k.Max == "" {
		return o, nil
	}
	limit, err := k.limit()
	o.Max = &limit
	return o, err
}

func (k *objectiveBlock) limit() (float64, error) {
	if k.Measure == report.MeasureErrors {
		return parseRatio(k.Max)
	}
	if d, err := time.ParseDuration(k.Max); err == nil && d > 0 {
		return d.Seconds(), nil
	}
	d, err := model.ParseDuration(k.Max)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("max %q is no time, such as 200ms", k.Max)
	}
	return time.Duration(d).Seconds(), nil
}

// judge holds a report against the objectives, where there are any.
func (b *objectivesBlock) judge(r *report.Report) error {
	if b == nil || len(b.Keep) == 0 {
		return nil
	}
	objectives, err := b.objectives()
	if err != nil {
		return usage(err)
	}
	passing, err := b.passing()
	if err != nil {
		return err
	}
	r.Objectives = report.JudgeObjectives(objectives, b.pass(), r, passing)
	return nil
}

// files of the history, the oldest first: they are named by when their run
// was.
func (b *objectivesBlock) files() []string {
	found, _ := filepath.Glob(filepath.Join(b.History, "passed-*.json")) // fails on a bad pattern only
	slices.Sort(found)
	return found
}

func (b *objectivesBlock) passing() (out []*report.Report, err error) {
	if b.History == "" {
		return nil, nil
	}
	last := b.Last
	if last == 0 {
		last = defaultLast
	}
	files := b.files()
	for _, path := range files[max(0, len(files)-last):] {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the history: %w", err)
		}
		r, err := report.Read(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("reading the history: %s: %w", path, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// keep adds a run that met its objectives to the history. The file appears as a
// whole: a pipeline may be killed at any time.
func (b *objectivesBlock) keep(r *report.Report) error {
	if b == nil || b.History == "" || r.Objectives == nil || !r.Objectives.Passed || r.Objectives.Unknown() != "" {
		return nil
	}
	if err := os.MkdirAll(b.History, 0o755); err != nil {
		return fmt.Errorf("keeping the passing run: %w", err)
	}
	var text bytes.Buffer
	json, _ := report.FormatNamed("json")
	if err := json.Write(&text, r); err != nil {
		return fmt.Errorf("keeping the passing run: %w", err)
	}
	path := filepath.Join(b.History, "passed-"+r.Window.Start.UTC().Format("20060102T150405.000Z")+".json")
	if err := os.WriteFile(path+".new", text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("keeping the passing run: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keeping the passing run: %w", err)
	}
	for _, old := range b.files()[:max(0, len(b.files())-keptPassing)] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("trimming the history: %w", err)
		}
	}
	return nil
}
