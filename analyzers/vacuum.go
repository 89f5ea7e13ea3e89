package analyzers

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindVacuumBlocked Kind = "vacuum.blocked" // transactions by which the oldest holder holds vacuum back
	FindVacuumDead    Kind = "vacuum.dead"    // dead rows of the worst table over the number at which autovacuum acts
	FindVacuumVain    Kind = "vacuum.vain"    // vacuums of that table while it was held back, which left twice what makes them act
	FindVacuumReread  Kind = "vacuum.reread"  // index entries read for each row fetched through the table's indexes
)

const (
	// oldHolder: a holder younger than this many transactions is everybody's
	// (the reproduced case had 164,396 after 26 s), unless it was there for
	// oldShare of the window: where one transaction changes thousands of rows,
	// few transactions make many dead ones.
	oldHolder = 10_000
	oldShare  = 0.5
	// minDead: fewer new dead rows slow nothing.
	minDead = 1000
)

// vacuumBlocked finds tables that fill with dead rows because something holds
// back the horizon. Waits do not show it: what does is the age of the holder,
// dead rows that vacuum cannot take, and index entries read for nothing (47.5
// a row against 1.006, PostgreSQL 15).
var vacuumBlocked = Analyzer{
	Name:  "vacuum-blocked",
	Doc:   "The table with most dead rows that vacuum may not remove, and the session, prepared transaction, slot or standby that holds them; the gain by the share of index entries read in vain.",
	Needs: []evidence.Kind{evidence.PGTables},
	Uses:  []evidence.Kind{evidence.PGIndexes, evidence.PGStatements, evidence.PGActivity, evidence.Spans},
	Finds: []Kind{FindVacuumBlocked, FindVacuumDead, FindVacuumVain, FindVacuumReread},
	Run:   runVacuumBlocked,
}

func runVacuumBlocked(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		h, t := oldestHolder(pg), deadestTable(pg)
		if h != nil && t != nil {
			reportVacuumBlocked(p, pg, h, t)
		}
	}
	return nil
}

// oldestHolder holds the horizon, and went on holding it: one seen twice has
// grown older.
func oldestHolder(pg *evidence.Postgres) *evidence.PGHolder {
	var best *evidence.PGHolder
	for i := range pg.Holders {
		h := &pg.Holders[i]
		young := h.XminAge < oldHolder && heldShare(pg, h) < oldShare
		if young || h.Samples > 1 && h.XminAge <= h.FirstAge {
			continue
		}
		if best == nil || h.XminAge > best.XminAge {
			best = h
		}
	}
	return best
}

// heldShare is the share of the window for which a holder's transaction was
// open; 0 where it has none.
func heldShare(pg *evidence.Postgres, h *evidence.PGHolder) float64 {
	return clamp01(per(h.Held, accountSeconds(pg)))
}

// deadestTable gained most dead rows, beyond what autovacuum would have left.
func deadestTable(pg *evidence.Postgres) *evidence.PGTable {
	var best *evidence.PGTable
	for i := range pg.Tables {
		t := &pg.Tables[i]
		if grown := t.Dead - t.DeadBefore; grown < minDead || t.Dead < 2*t.VacuumAt {
			continue
		}
		if best == nil || t.Dead-t.DeadBefore > best.Dead-best.DeadBefore {
			best = t
		}
	}
	return best
}

func reportVacuumBlocked(p *Pass, pg *evidence.Postgres, h *evidence.PGHolder, t *evidence.PGTable) {
	reread := rereadOf(pg, t.Name)
	cut, saved := map[string]float64{}, 0.0
	for i := range pg.Statements {
		if s := &pg.Statements[i]; reread > 1 && slices.Contains(s.Tables, t.Name) {
			cut[s.Key] = (1 - 1/reread) * workShare(pg, s.QueryID)
			saved = max(saved, s.Mean()*cut[s.Key])
		}
	}
	c := p.charge(cut, saved, "mean time of the statement, less the index entries read in vain")
	e := c.about(pg, t.Name)
	who := fmt.Sprintf("%s %s", h.Kind, cmp.Or(h.Who, "without a name"))
	if h.State != "" {
		who += " (" + h.State + ")"
	}
	facts := serverFacts(pg, map[string]string{"table": t.Name, "holder": who, "kind": h.Kind, "who": h.Who, "held_s": fmt.Sprintf("%.0f", h.Held), "last": h.Text, "dead": fmt.Sprintf("%.0f", t.Dead)})
	p.Report(c.finding(FindVacuumBlocked, e, h.XminAge, "{transaction}",
		fmt.Sprintf("%s holds row versions back for %.0f transactions; %s gained %.0f dead rows meanwhile, and vacuum ran %.0f times in vain", who, h.XminAge, t.Name, t.Dead-t.DeadBefore, t.Autovacuums), facts))
	dead := per(t.Dead, max(t.VacuumAt, 1))
	p.Report(Finding{Kind: FindVacuumDead, Entity: e, Value: dead, Unit: "1", Text: fmt.Sprintf("%s has %.0f dead rows beside %.0f live ones; autovacuum acts at %.0f", t.Name, t.Dead, t.Live, t.VacuumAt)})
	vain := t.Autovacuums * heldShare(pg, h)
	p.Report(Finding{Kind: FindVacuumVain, Entity: e, Value: vain, Unit: "{vacuum}", Text: fmt.Sprintf("%.0f vacuums of %s left it so, while the transaction of %.0f s was open", vain, t.Name, h.Held)})
	if reread > 0 {
		p.Report(Finding{Kind: FindVacuumReread, Entity: e, Value: reread, Unit: "1", Text: fmt.Sprintf("%.1f index entries are read for each row that is fetched", reread)})
	}
}

// rereadOf is the worst ratio of entries read to rows fetched among a table's
// indexes; 0 where none tells. Bitmap scans count no rows fetched, so that an
// index that fetched less than it was scanned for is left out.
func rereadOf(pg *evidence.Postgres, table string) float64 {
	worst := 0.0
	for i := range pg.Indexes {
		if x := &pg.Indexes[i]; x.Table == table && x.TupFetch >= 100 && x.TupFetch >= 0.1*x.Scans {
			worst = max(worst, x.TupRead/x.TupFetch)
		}
	}
	return worst
}

// workShare is the share of a statement's active time on CPU or reading,
// which reading less would save; all of it where it was never sampled.
func workShare(pg *evidence.Postgres, id string) float64 {
	by, total := waitsOf(pg, map[string]bool{id: true})
	if id == "" || total < fewestSightings {
		return 1
	}
	return per(float64(by["CPU"]+by["IO:DataFileRead"]), float64(total))
}
