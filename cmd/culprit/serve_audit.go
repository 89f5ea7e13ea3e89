package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/cmd/culprit/audits"
	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/rules"
)

// auditor makes the report of one target, again and again. Files with secrets,
// events and traces are read anew every time.
type auditor struct {
	version   string
	sources   sourceFlags
	looks     looksFlags
	catalogue *rules.Catalogue
	watch     time.Duration
}

// newAuditor checks what would else fail at the first audit, at night.
func newAuditor(t *target, version string) (*auditor, error) {
	a := &auditor{version: version, sources: sourceFlags{settings: &t.configuration, timeout: time.Duration(t.Timeout)}}
	a.looks.tz = t.Zone
	if err := a.looks.resolve(&t.configuration); err != nil {
		return nil, err
	}
	if _, err := a.sources.collectors(nil, false); err != nil {
		return nil, err
	}
	if t.Postgres.named() || t.PgBouncer.named() {
		a.watch = defaultWatch
	}
	if t.Watch != nil {
		a.watch = time.Duration(*t.Watch)
	}
	var err error
	a.catalogue, err = rules.Load(t.Rules...)
	return a, err
}

// audit is the whole line once. Where no source could be read, the report that
// says so comes with the error.
func (a *auditor) audit(ctx context.Context, r archive.Run) (*report.Report, error) {
	cs, err := a.sources.collectors(nil, false)
	if err != nil {
		return nil, err
	}
	b, err := a.collect(ctx, r.Window, cs)
	b.Version = a.version
	addEventsAfter(b, a.sources.settings.Events)
	res := analyzers.Run(b)
	made := report.Build(b, res, a.catalogue.Judge(b, res), report.Options{Version: a.version, Links: a.looks.linksFor(b), Zone: a.looks.zone})
	return made, err
}

// collect reads the window. One that reaches to the present is watched for a
// while first, so that PostgreSQL can tell what happens and not only what is,
// and ends when that has ended.
func (a *auditor) collect(ctx context.Context, w evidence.Window, cs []collectors.Collector) (*evidence.Bundle, error) {
	options := collectors.Options{Timeout: a.sources.timeout}
	var gaps []evidence.Gap
	if a.watch > 0 && time.Since(w.End) < a.watch+time.Minute {
		gaps = collectors.Begin(ctx, cs, options)
		select {
		case <-ctx.Done():
		case <-time.After(a.watch):
		}
		w.End = time.Now().UTC()
	}
	b, err := collectors.Collect(ctx, w, cs, options)
	b.Gaps = append(b.Gaps, gaps...)
	b.Sort()
	return b, err
}

// auditTargets makes the targets of the service ready to be audited.
func (s *service) auditTargets(version string) (out []audits.Target, err error) {
	var errs []error
	for i := range s.Targets {
		t := &s.Targets[i]
		audited, err := t.audited()
		if err == nil {
			var a *auditor
			if a, err = newAuditor(t, version); err == nil {
				audited.Audit = a.audit
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("configuration %s: line %d: target %s: %w", s.path, t.lines.of(err), t.Name, err))
			continue
		}
		out = append(out, audited)
	}
	return out, errors.Join(errs...)
}
