package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/notify"
)

// configuration is the strict YAML of --config: one block a source. HTTP
// settings have the shape that Prometheus itself uses (basic_auth,
// authorization, oauth2, tls_config, ...), so that blocks can be pasted.
type configuration struct {
	Prometheus prometheusBlock `yaml:"prometheus"`
	Traces     tracesBlock     `yaml:"traces"`
	Postgres   postgresBlock   `yaml:"postgres"`
	PgBouncer  dsnBlock        `yaml:"pgbouncer"`
	Grafana    grafanaBlock    `yaml:"grafana"`
	Load       string          `yaml:"load"`   // result file of a load tool
	Events     string          `yaml:"events"` // file of events
	Rules      []string        `yaml:"rules"`  // directories of rules
	Links      linksBlock      `yaml:"links"`
	Objectives objectivesBlock `yaml:"objectives"`
	Notify     notify.Config   `yaml:"notify"`
	Prices     pricesBlock     `yaml:"prices"`
}

// pricesBlock says what a reservation costs.
type pricesBlock evidence.Prices

func (p pricesBlock) check() error {
	switch {
	case p == pricesBlock{}:
		return nil
	case p.CoreHour < 0 || p.GiBHour < 0 || p.CoreHour+p.GiBHour == 0:
		return errors.New("prices: core_hour and gib_hour are amounts of money, one at least")
	case p.Currency == "":
		return errors.New("prices: currency is missing: which money is it?")
	}
	return nil
}

// addTo puts the prices beside the evidence; where none are configured, those
// that it came with stay.
func (p pricesBlock) addTo(b *evidence.Bundle) {
	if p != (pricesBlock{}) {
		b.Prices = (*evidence.Prices)(&p)
	}
}

// linksBlock is where readers of a report reach their own tools.
type linksBlock struct {
	Prometheus        string `yaml:"prometheus"`
	Traces            string `yaml:"traces"` // Jaeger
	Grafana           string `yaml:"grafana"`
	GrafanaDatasource string `yaml:"grafana_datasource"` // uid
}

func (l linksBlock) links() report.Links {
	return report.Links{Prometheus: l.Prometheus, Traces: l.Traces, Grafana: l.Grafana, GrafanaSourceUID: l.GrafanaDatasource}
}

type prometheusBlock struct {
	URL        string                  `yaml:"url"`
	Headers    map[string]string       `yaml:"headers"`
	SignalsDir string                  `yaml:"signals_dir"`
	MaxQueries int                     `yaml:"max_queries"`
	HTTP       config.HTTPClientConfig `yaml:",inline"`
}

type tracesBlock struct {
	URL        string                  `yaml:"url"`
	Headers    map[string]string       `yaml:"headers"`
	Services   []string                `yaml:"services"`
	MaxTraces  int                     `yaml:"max_traces"`
	MaxSpans   int                     `yaml:"max_spans"`
	Files      []string                `yaml:"files"`
	OTLPListen string                  `yaml:"otlp_listen"`
	HTTP       config.HTTPClientConfig `yaml:",inline"`
}

// dsnBlock names a server by one of three: the DSN itself, a file or an
// environment variable that holds it.
type dsnBlock struct {
	DSN     config.Secret `yaml:"dsn"`
	DSNFile string        `yaml:"dsn_file"`
	DSNEnv  string        `yaml:"dsn_env"`
}

type postgresBlock struct {
	dsnBlock `yaml:",inline"`
	Hz       float64 `yaml:"hz"`
	Explain  *bool   `yaml:"explain"` // default true
}

// maxConfigBytes bounds the configuration file.
const maxConfigBytes = 1 << 20

// readConfiguration reads strictly: an unknown key is an error with its line.
// Relative paths in it are relative to the file.
func readConfiguration(path string) (*configuration, error) {
	c := newConfiguration()
	if path == "" {
		return c, nil
	}
	content, err := configurationText(path)
	if err != nil {
		return nil, err
	}
	if err := decodeStrictly(content, c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	c.resolve(filepath.Dir(path))
	return c, c.validate(path)
}

// configurationText reads a file of a bounded size.
func configurationText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(content) > maxConfigBytes {
		return nil, fmt.Errorf("configuration %s is larger than %d MiB", path, maxConfigBytes>>20)
	}
	return content, nil
}

// decodeStrictly refuses unknown keys. Its error names the line, and shows no
// value.
func decodeStrictly(content []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	err := dec.Decode(into)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	text := yamlText(err)
	var document yaml.Node
	if !strings.Contains(text, "line ") && yaml.Unmarshal(content, &document) == nil {
		text = blame(&document, into) + text
	}
	return errors.New(text)
}

func newConfiguration() *configuration {
	return &configuration{
		Prometheus: prometheusBlock{HTTP: config.DefaultHTTPClientConfig},
		Traces:     tracesBlock{HTTP: config.DefaultHTTPClientConfig},
		Grafana:    grafanaBlock{HTTP: config.DefaultHTTPClientConfig},
	}
}

// yamlText takes the Go types out of a decoder's complaint, and keeps its line.
func yamlText(err error) string {
	var t *yaml.TypeError
	if !errors.As(err, &t) {
		text, own := strings.CutPrefix(err.Error(), "yaml: ")
		if !own {
			// A type's own complaint repeats the value behind a colon.
			text, _, _ = strings.Cut(text, ": ")
		}
		return text
	}
	texts := make([]string, len(t.Errors))
	for i, e := range t.Errors {
		head, _, found := strings.Cut(e, " not found in type ")
		if found {
			texts[i] = strings.Replace(head, "field ", "unknown key ", 1)
			continue
		}
		// The offending value may be a secret in the wrong place: keep the line alone.
		line, _, _ := strings.Cut(e, ": ")
		texts[i] = line + ": a value of the wrong kind"
	}
	return strings.Join(texts, "; ")
}

// resolve makes paths relative to the configuration's folder.
func (c *configuration) resolve(dir string) {
	c.Prometheus.HTTP.SetDirectory(dir)
	c.Traces.HTTP.SetDirectory(dir)
	c.Grafana.HTTP.SetDirectory(dir)
	c.Notify.SetDirectory(dir)
	paths := []*string{&c.Prometheus.SignalsDir, &c.Postgres.DSNFile, &c.PgBouncer.DSNFile, &c.Load, &c.Events, &c.Objectives.History}
	for i := range c.Traces.Files {
		paths = append(paths, &c.Traces.Files[i])
	}
	for i := range c.Rules {
		paths = append(paths, &c.Rules[i])
	}
	for _, p := range paths {
		*p = config.JoinDir(dir, *p)
	}
}

func (c *configuration) validate(path string) error {
	if err := c.Prometheus.HTTP.Validate(); err != nil {
		return fmt.Errorf("configuration %s: prometheus: %w", path, err)
	}
	if err := c.Traces.HTTP.Validate(); err != nil {
		return fmt.Errorf("configuration %s: traces: %w", path, err)
	}
	if err := c.Grafana.HTTP.Validate(); err != nil {
		return fmt.Errorf("configuration %s: grafana: %w", path, err)
	}
	if err := c.Objectives.validate(); err != nil {
		return fmt.Errorf("configuration %s: objectives: %w", path, err)
	}
	if err := c.Prices.check(); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return nil
}

// named reports whether the block names a server.
func (p *dsnBlock) named() bool { return p.DSN != "" || p.DSNFile != "" || p.DSNEnv != "" }

// override puts a DSN of the command line in the place of the block's.
func (p *dsnBlock) override(dsn string) {
	if dsn != "" {
		*p = dsnBlock{DSN: config.Secret(dsn)}
	}
}

// find gives the DSN from where the block says it is; source is for errors.
func (p *dsnBlock) find(source string) (string, error) {
	named := 0
	for _, s := range []string{string(p.DSN), p.DSNFile, p.DSNEnv} {
		if s != "" {
			named++
		}
	}
	if named > 1 {
		return "", errors.New(source + ": dsn, dsn_file and dsn_env exclude each other")
	}
	switch {
	case p.DSNFile != "":
		content, err := os.ReadFile(p.DSNFile)
		if err != nil {
			return "", fmt.Errorf("%s: reading dsn_file: %w", source, err)
		}
		return strings.TrimSpace(string(content)), nil
	case p.DSNEnv != "":
		v, ok := os.LookupEnv(p.DSNEnv)
		if !ok {
			return "", fmt.Errorf("%s: the environment variable %s of dsn_env is not set", source, p.DSNEnv)
		}
		return v, nil
	}
	return string(p.DSN), nil
}
