package main

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/loadtest"
	"github.com/culprit-rca/culprit/collectors/postgres"
	"github.com/culprit-rca/culprit/collectors/prometheus"
	"github.com/culprit-rca/culprit/collectors/traces"
)

// sourceFlags name the witnesses; each overrides its place in --config.
type sourceFlags struct {
	config      string
	prometheus  string
	traces      string
	tracesFiles []string
	otlpListen  string
	postgres    string
	pgbouncer   string
	grafana     string
	load        string
	events      string
	timeout     time.Duration
	settings    *configuration
}

func (s *sourceFlags) register(f *pflag.FlagSet) {
	s.registerTraces(f)
	f.StringVar(&s.prometheus, "prometheus", "", "URL of Prometheus or a server that speaks its API")
	f.StringVar(&s.postgres, "postgres", "", "DSN of PostgreSQL; keep the password in PGPASSWORD, a pass file or --config")
	f.StringVar(&s.pgbouncer, "pgbouncer", "", "DSN of PgBouncer's console (database pgbouncer), looked at while a load runs")
	f.StringVar(&s.grafana, "grafana", "", "URL of Grafana, whose annotations are events; keep the token in "+grafanaToken+" or --config")
	f.StringVar(&s.load, "load", "", "result file of a load tool: k6 (summary, JSON, CSV, InfluxDB lines), JMeter JTL, Locust CSV, Gatling, plain CSV")
	f.StringVar(&s.events, "events", "", "file of events (deployments, experiments): YAML list or JSON lines of time, end, kind, text, entity")
}

// registerTraces is for verbs that read traces alone.
func (s *sourceFlags) registerTraces(f *pflag.FlagSet) {
	f.StringVar(&s.config, "config", "", "YAML with the sources and their credentials")
	f.StringVar(&s.traces, "traces", "", "URL of Jaeger, Tempo or Zipkin: http(s):// or grpc(s)://")
	f.StringArrayVar(&s.tracesFiles, "traces-file", nil, "file of traces (OTLP, Jaeger, Zipkin); may be repeated")
	f.DurationVar(&s.timeout, "timeout", collectors.DefaultTimeout, "longest time for one source")
}

// registerListen is for verbs that are there while the load runs.
func (s *sourceFlags) registerListen(f *pflag.FlagSet) {
	f.StringVar(&s.otlpListen, "otlp-listen", "", "ADDR on which to receive traces over OTLP during the run")
}

// resolve reads --config and puts the flags over it.
func (s *sourceFlags) resolve() error {
	c, err := readConfiguration(s.config)
	if err != nil {
		return err
	}
	override(&c.Prometheus.URL, s.prometheus)
	override(&c.Traces.URL, s.traces)
	override(&c.Traces.OTLPListen, s.otlpListen)
	override(&c.Grafana.URL, s.grafana)
	override(&c.Load, s.load)
	override(&c.Events, s.events)
	if len(s.tracesFiles) > 0 {
		c.Traces.Files = s.tracesFiles
	}
	c.Postgres.override(s.postgres)
	c.PgBouncer.override(s.pgbouncer)
	s.settings = c
	return nil
}

func override(to *string, with string) {
	if with != "" {
		*to = with
	}
}

// flagged reports whether the command line names a source. A configuration may:
// its objectives, rules and links are of use with an evidence file, too.
func (s *sourceFlags) flagged() bool {
	return s.prometheus != "" || s.traces != "" || len(s.tracesFiles) > 0 || s.postgres != "" || s.pgbouncer != "" || s.grafana != "" || s.load != ""
}

// named reports whether any source is named that can be read after the fact.
func (s *sourceFlags) named() bool {
	c := s.settings
	return c.Prometheus.URL != "" || c.Traces.URL != "" || len(c.Traces.Files) > 0 || c.Load != "" ||
		c.Postgres.named()
}

// tracesFilesAlone reports whether files of traces are the only sources: they
// say themselves when they are from.
func (s *sourceFlags) tracesFilesAlone() bool {
	alone := *s.settings
	alone.Traces.Files = nil
	rest := sourceFlags{settings: &alone}
	return len(s.settings.Traces.Files) > 0 && !rest.named()
}

var errNoSource = errors.New("no source: give --prometheus, --traces, --postgres or --config")

// collectors makes a collector for every source that is named. listen adds
// the receiver, which makes sense only where the load is still to come.
func (s *sourceFlags) collectors(progress collectors.Reporter, listen bool) ([]collectors.Collector, error) {
	var out []collectors.Collector
	var errs []error
	add := func(c collectors.Collector, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		out = append(out, c)
	}
	c := s.settings
	base := s.tracesConfig(progress)
	if p := c.Prometheus; p.URL != "" {
		metrics, err := prometheus.New(prometheus.Config{URL: p.URL, HTTP: p.HTTP, Headers: p.Headers, SignalsDir: p.SignalsDir, MaxQueries: p.MaxQueries, Progress: progress,
			Exemplars: c.Traces.URL != ""})
		add(metrics, err)
		if err == nil {
			base.Exemplars = metrics.Exemplars
		}
	}
	s.addTraces(add, base, listen)
	s.addDatabases(add, progress)
	s.addAnnotations(add, progress)
	if c.Load != "" {
		add(loadtest.NewFile(c.Load), nil)
	}
	if len(errs) == 0 && len(out) == 0 {
		errs = append(errs, errNoSource)
	}
	return out, errors.Join(errs...)
}

func (s *sourceFlags) addDatabases(add func(collectors.Collector, error), progress collectors.Reporter) {
	p := s.settings.Postgres
	switch dsn, err := p.find("postgres"); {
	case err != nil:
		add(nil, err)
	case dsn != "":
		explain := p.Explain == nil || *p.Explain
		add(postgres.New(postgres.Config{DSN: dsn, Hz: p.Hz, Explain: explain, Progress: progress}))
	}
	switch dsn, err := s.settings.PgBouncer.find("pgbouncer"); {
	case err != nil:
		add(nil, err)
	case dsn != "":
		add(postgres.NewPgBouncer(postgres.Config{DSN: dsn, Progress: progress}))
	}
}

// tracesConfig is what all sources of traces share, with the store's address.
func (s *sourceFlags) tracesConfig(progress collectors.Reporter) traces.Config {
	t := s.settings.Traces
	return traces.Config{URL: t.URL, HTTP: t.HTTP, Headers: t.Headers, Services: t.Services, MaxTraces: t.MaxTraces, MaxSpans: t.MaxSpans, Progress: progress}
}

func (s *sourceFlags) addTraces(add func(collectors.Collector, error), base traces.Config, listen bool) {
	t := s.settings.Traces
	if t.URL != "" {
		add(traces.New(base))
	}
	for _, path := range t.Files {
		add(traces.NewFile(path, base))
	}
	if listen && t.OTLPListen != "" {
		add(traces.NewReceiver(t.OTLPListen, base))
	}
}
