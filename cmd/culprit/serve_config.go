package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/cmd/culprit/audits"
	"github.com/culprit-rca/culprit/report/archive"
)

// service is the strict YAML of `culprit serve --config`. A configuration of
// the other verbs, sources at the top, is a service with one target.
type service struct {
	target  `yaml:",inline"`
	Targets []target     `yaml:"targets"`
	History historyBlock `yaml:"history"`
	Audits  auditsBlock  `yaml:"audits"`
	Queue   alertsBlock  `yaml:"alert_queue"`

	path string
}

// target is one system: its sources, and when to audit it.
type target struct {
	configuration `yaml:",inline"`
	Name          string          `yaml:"name"`
	Schedule      string          `yaml:"schedule"`  // cron expression, @hourly, @every 15m, none; default @hourly
	Zone          string          `yaml:"time_zone"` // of the schedule and of the times in reports; default UTC
	Jitter        model.Duration  `yaml:"jitter"`
	Window        model.Duration  `yaml:"window"` // how far an audit looks back; default 1h
	Late          *model.Duration `yaml:"late"`   // how long after its time an audit is still begun; default the window
	Watch         *model.Duration `yaml:"watch"`  // how long PostgreSQL is watched before the sources are read; default 30s where it is named
	Timeout       model.Duration  `yaml:"timeout"`
	Alerts        []routeBlock    `yaml:"alerts"`

	lines lines
}

type routeBlock struct {
	Match   map[string]string `yaml:"match"`
	MatchRE map[string]string `yaml:"match_re"`
	Before  model.Duration    `yaml:"before"` // how far before the alert the window begins; default 30m
}

type historyBlock struct {
	Directory string         `yaml:"directory"`
	Postgres  dsnBlock       `yaml:"postgres"`
	Keep      model.Duration `yaml:"keep"`      // default 90d
	KeepRuns  int            `yaml:"keep_runs"` // of a target; default 1000
}

type auditsBlock struct {
	AtOnce  int            `yaml:"at_once"` // default 1
	Longest model.Duration `yaml:"longest"` // default 10m
	Grace   model.Duration `yaml:"grace"`   // default 30s
	// Beat is how often a replica says that it is alive; one that is silent for
	// six of these loses what it has begun. Default 10s.
	Beat model.Duration `yaml:"beat"`
}

type alertsBlock struct {
	Size     int            `yaml:"size"`     // default 64
	Cooldown model.Duration `yaml:"cooldown"` // default 15m
	Longest  model.Duration `yaml:"longest"`  // window; default 6h
}

const (
	defaultSchedule = "@hourly"
	defaultWindow   = time.Hour
	defaultWatch    = 30 * time.Second
	defaultBefore   = 30 * time.Minute
	defaultKeep     = 90 * 24 * time.Hour
	defaultKeepRuns = 1000
	onlyTarget      = "default" // of a configuration with its sources at the top
)

var targetName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// readService reads strictly, and a second time over the defaults of HTTP: a
// list's elements cannot be filled in before it is read.
func readService(path string) (*service, error) {
	if path == "" {
		return nil, errors.New("which targets? give --config culprit.yaml")
	}
	content, err := configurationText(path)
	if err != nil {
		return nil, err
	}
	s := &service{target: target{configuration: *newConfiguration()}, path: path}
	err = decodeStrictly(content, s)
	if err == nil {
		err = s.refill(content)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return s, s.settle(path)
}

// refill reads the targets again, each over its defaults, and notes the lines.
func (s *service) refill(content []byte) error {
	var again struct {
		Targets []yaml.Node `yaml:"targets"`
	}
	var document yaml.Node
	if err := errors.Join(yaml.Unmarshal(content, &again), yaml.Unmarshal(content, &document)); err != nil {
		return errors.New(yamlText(err))
	}
	s.lines = linesOf(&document)
	for i := range s.Targets {
		s.Targets[i] = target{configuration: *newConfiguration(), lines: linesOf(&again.Targets[i])}
		if err := again.Targets[i].Decode(&s.Targets[i]); err != nil {
			return errors.New(yamlText(err))
		}
	}
	return nil
}

// settle gives the targets names and paths, and checks what can be checked
// without asking anybody.
func (s *service) settle(path string) error {
	if len(s.Targets) == 0 {
		s.target.Name = cmp.Or(s.target.Name, onlyTarget)
		s.Targets = []target{s.target}
	} else if top := (sourceFlags{settings: &s.configuration}); top.named() {
		return s.lines.at(path, errors.New("sources stand both at the top and in targets: move those at the top into a target"))
	} else if i := slices.IndexFunc(s.Targets, func(t target) bool { return !t.Notify.Empty() }); i >= 0 {
		return s.Targets[i].lines.at(path, errors.New("notify stands at the top, for all targets"))
	}
	seen := map[string]bool{}
	for i := range s.Targets {
		t := &s.Targets[i]
		switch {
		case !targetName.MatchString(t.Name):
			return t.lines.at(path, fmt.Errorf("name %q of a target is not of lower-case letters, digits, - and _", t.Name))
		case seen[t.Name]:
			return t.lines.at(path, fmt.Errorf("name %q is taken by another target", t.Name))
		}
		seen[t.Name] = true
		t.resolve(filepath.Dir(path))
		if err := t.validate(path); err != nil {
			return err
		}
	}
	dir := filepath.Dir(path)
	s.History.Directory, s.History.Postgres.DSNFile = config.JoinDir(dir, s.History.Directory), config.JoinDir(dir, s.History.Postgres.DSNFile)
	if s.History.Directory != "" && s.History.Postgres.named() {
		return s.lines.at(path, errors.New("history: directory and postgres exclude each other; culprit serve migrate brings the one into the other"))
	}
	return nil
}

func (s *service) keep() archive.Keep {
	return archive.Keep{Age: cmp.Or(time.Duration(s.History.Keep), defaultKeep), Runs: cmp.Or(s.History.KeepRuns, defaultKeepRuns)}
}

// zone of the schedule and of the times in reports.
func (t *target) zone() (*time.Location, error) {
	if t.Zone == "Local" {
		return nil, errors.New("time_zone Local is another zone on every machine: name one")
	}
	zone, err := time.LoadLocation(t.Zone)
	if err != nil {
		return nil, fmt.Errorf("time_zone %q is no zone that is known here", t.Zone)
	}
	return zone, nil
}

// audited is the target as the service sees it, without its audit.
func (t *target) audited() (out audits.Target, err error) {
	out = audits.Target{Name: t.Name, Window: cmp.Or(time.Duration(t.Window), defaultWindow)}
	out.Late = out.Window
	if t.Late != nil {
		out.Late = time.Duration(*t.Late)
	}
	zone, err := t.zone()
	if err != nil {
		return out, err
	}
	if t.Schedule != "none" {
		if out.Plan, err = audits.ParsePlan(cmp.Or(t.Schedule, defaultSchedule), zone, time.Duration(t.Jitter)); err != nil {
			return out, err
		}
	}
	for _, r := range t.Alerts {
		route, err := r.route()
		if err != nil {
			return out, err
		}
		out.Route = append(out.Route, route)
	}
	if out.Plan == nil && len(out.Route) == 0 {
		return out, errors.New("neither a schedule nor alerts would ever audit it")
	}
	return out, nil
}

func (r routeBlock) route() (audits.Route, error) {
	out := audits.Route{Match: r.Match, MatchRE: map[string]*regexp.Regexp{}, Before: cmp.Or(time.Duration(r.Before), defaultBefore)}
	for label, text := range r.MatchRE {
		re, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil {
			return out, fmt.Errorf("alerts: match_re %s: %w", label, err)
		}
		out.MatchRE[label] = re
	}
	return out, nil
}
