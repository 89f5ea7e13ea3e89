package analyzers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindCommitWait  Kind = "commit.wait"  // s that one writing transaction waits for the write-ahead log
	FindCommitFlush Kind = "commit.flush" // s that one flush takes, by the server's own timing
)

// slowCommit measures what commits wait for the write-ahead log. Many
// sessions in WALWrite are not a defect: a healthy closed loop of tiny
// transactions had 73 % of its sessions there and 0.8 ms a commit (PostgreSQL
// 15). What counts is what one commit waits. pg_stat_statements does not see
// it: 1.3 % of the time of such a load.
var slowCommit = Analyzer{
	Name:  "slow-commit",
	Doc:   "What a writing transaction waits until the write-ahead log is flushed or replicated, from sampled sessions, and what a flush takes; the gain by taking the wait out of the spans of commits, of statements that commit themselves, or of the time after the last write.",
	Needs: []evidence.Kind{evidence.PGActivity, evidence.PGDatabase},
	Uses:  []evidence.Kind{evidence.PGStatements, evidence.Spans, evidence.PGSettings},
	Finds: []Kind{FindCommitWait, FindCommitFlush},
	Run:   runSlowCommit,
}

func runSlowCommit(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		w := waitingFor(pg, isCommitWait)
		if pg.Database == nil || pg.Subset || w.count < fewestSightings || writers(pg) == 0 {
			continue
		}
		reportCommits(p, pg, w)
	}
	return nil
}

// writers counts the transactions that wrote: no more than commits, and no
// more than statements that write.
func writers(pg *evidence.Postgres) float64 {
	wrote := 0.0
	for i := range pg.Statements {
		if s := &pg.Statements[i]; s.TopLevel && writes(s.Text) {
			wrote += s.Calls
		}
	}
	if wrote == 0 {
		return pg.Database.Commits
	}
	return min(wrote, pg.Database.Commits)
}

func writes(text string) bool {
	return slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "MERGE", "COPY"}, evidence.SQLVerb(text))
}

func reportCommits(p *Pass, pg *evidence.Postgres, w *waiting) {
	each := w.seconds(w.count) / writers(pg)
	c := p.chargeCommits(pg, w, each)
	e := evidence.Entity{Service: c.caller.Service, Operation: c.caller.Operation, Instance: pg.Server.Name, Resource: pg.Server.Name}
	sync := waitingFor(pg, func(s *evidence.WaitSample) bool { return s.Wait == "SyncRep" })
	facts := serverFacts(pg, map[string]string{"wait_ms": fmt.Sprintf("%.1f", each*1000), "per_flush": commitsPerFlush(pg)})
	if 2*sync.count > w.count {
		facts["standby"] = "true"
	}
	text := fmt.Sprintf("each writing transaction waits %.1f ms for the write-ahead log (%.1f sessions on average, %.0f transactions)", each*1000, w.sessions(), writers(pg))
	if d := pg.Database; d.WALSyncs > 0 && d.WALSyncTime > 0 {
		flush := d.WALSyncTime / d.WALSyncs
		facts["flush_ms"] = fmt.Sprintf("%.1f", flush*1000)
		p.Report(Finding{Kind: FindCommitFlush, Entity: e, Value: flush, Unit: "s", Text: fmt.Sprintf("one flush of the log takes %.1f ms, and serves %.1f commits", flush*1000, d.Commits/d.WALSyncs)})
	}
	f := c.finding(FindCommitWait, e, each, "s", text, facts)
	f.Charts = []Chart{p.waitChart(pg)}
	p.Report(f)
}

// chargeCommits takes waits for the log from where the client meets them: the
// statements that were seen in them, which commit themselves, the spans of
// commits, and where a driver records none, what follows the last write.
func (p *Pass) chargeCommits(pg *evidence.Postgres, w *waiting, each float64) charge {
	list := w.statements()
	cut := shares(list, 1)
	explicit := per(float64(w.in["COMMIT"]+w.in["END"]), float64(w.seen["COMMIT"]+w.seen["END"]))
	keys := map[string]bool{}
	for i := range pg.Statements {
		if writes(pg.Statements[i].Text) {
			keys[pg.Statements[i].Key] = true
		}
	}
	touched := p.Facts.tracesWith(func(s *evidence.Span) bool {
		key := s.Attr(evidence.AttrDBKey)
		return cut[key] > 0 || explicit > 0 && (isCommit(s) || keys[key])
	})
	_, statements := p.Facts.statementCuts(cut)
	take := func(t *Trace) Cuts {
		c := statements(t)
		if explicit > 0 && !t.cutCommits(c, explicit) {
			t.cutAfterWrites(c, keys, int64(each*1e9))
		}
		return c
	}
	caller := p.callerOf(cut)
	if caller.IsZero() && explicit > 0 {
		caller = p.callerOf(ones(keys))
	}
	touched, take = with(p.reliefs(p.services(ones(keys)), commitsFreed), touched, take)
	return p.chargeCuts(touched, take, caller, rough{saved: evenly(each), even: true, method: "mean wait of a commit by the server's own account"})
}

// commitsFreed: the whole wait for the log goes.
func commitsFreed(_ *evidence.Postgres, s *evidence.WaitSample) float64 {
	if isCommitWait(s) {
		return 1
	}
	return 0
}

func ones(keys map[string]bool) map[string]float64 {
	out := map[string]float64{}
	for k := range keys {
		out[k] = 1
	}
	return out
}

// isCommit recognises the span that a driver records for the end of a
// transaction.
func isCommit(s *evidence.Span) bool {
	if s.Attr(evidence.AttrDBSystem) == "" {
		return false
	}
	name, text := strings.ToLower(s.Name), strings.ToLower(s.Attr(evidence.AttrDBQuery))
	return text == "commit" || strings.HasPrefix(name, "commit") || strings.Contains(name, "tx.commit")
}

// cutCommits shortens the spans of commits; false where there are none.
func (t *Trace) cutCommits(c Cuts, share float64) bool {
	found := false
	for i := range t.Spans {
		if isCommit(&t.Spans[i]) {
			found = true
			t.CutSelf(c, int32(i), int64(float64(t.SelfTime(int32(i)))*share))
		}
	}
	return found
}

// cutAfterWrites takes up to limit ns off what follows the last write within
// each caller, before its next call: there the commit is hidden.
func (t *Trace) cutAfterWrites(c Cuts, keys map[string]bool, limit int64) {
	last := map[int32]int32{}
	for _, i := range t.order {
		if p := t.Parent[i]; p >= 0 && keys[t.Spans[i].Attr(evidence.AttrDBKey)] {
			if before, ok := last[p]; !ok || t.Spans[i].End > t.Spans[before].End {
				last[p] = i
			}
		}
	}
	for parent, i := range last {
		next := t.Spans[parent].End
		for _, k := range t.children(parent) {
			if at := t.Spans[k].Start; at >= t.Spans[i].End {
				next = min(next, at)
			}
		}
		t.CutSelf(c, parent, min(limit, max(next-t.Spans[i].End, 0)))
	}
}
