package postgres

import (
	"context"
	"fmt"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Check says what would be seen, and the SQL to run for what would not.
func (c *Collector) Check(ctx context.Context) (collectors.Preflight, error) {
	defer c.session.close()
	snap, err := beginSnapshot(ctx, c.session)
	if err != nil {
		return collectors.Preflight{}, fmt.Errorf("postgres %s: %w", c.target, c.session.plain(err))
	}
	a := newAccount(c, evidence.Window{})
	a.addServer(snap.caps)
	a.addFailures(&snapshot{}, snap)
	for _, g := range capabilityGaps(snap) {
		a.gap(g)
	}
	for _, n := range capabilityNotes(snap) {
		a.note("%s", n)
	}
	if c.config.Explain && snap.caps.HypoPG == "" {
		a.gap(noHypoPG())
	}
	a.finish(c.session, newHistory())
	return collectors.Preflight{Source: a.bundle.Sources[0], Lines: checkLines(snap), Gaps: a.bundle.Gaps}, nil
}

func noHypoPG() evidence.Gap {
	return evidence.Gap{
		Kinds:  []evidence.Kind{evidence.PGIndexAdvice},
		Reason: "the extension hypopg is not installed in this database: index advice cannot be verified",
		Remedy: "install the package (postgresql-NN-hypopg on Debian) and run in this database: CREATE EXTENSION hypopg; no restart is needed",
	}
}

func checkLines(s *snapshot) []string {
	c := s.caps
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	lines := []string{
		fmt.Sprintf("PostgreSQL %s, up since %s, standby: %s, TLS: %s", c.VersionText, rfc(c.Started), yes(c.Standby), yes(c.TLS)),
		fmt.Sprintf("role %s sees other sessions and statements: %s; may read every table: %s", c.Role, yes(c.ReadStats), yes(c.ReadData)),
		fmt.Sprintf("track_io_timing: %s, track_counts: %s", yes(c.IOTiming), yes(c.Counts)),
		"statistics count since " + rfc(s.since()),
	}
	if c.Statements != "" {
		lines = append(lines, fmt.Sprintf("pg_stat_statements %s in schema %s, %d entries of this database", c.Statements, c.Schema, len(s.statements)+s.hidden))
	}
	if c.HypoPG != "" {
		lines = append(lines, "hypopg in schema "+c.HypoPG+": index advice can be verified")
	}
	return lines
}
