package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Findings of housekeeping: worth a ticket, never what made a run slow.
const (
	FindIndexUnused    Kind = "index.unused"    // By of an index that nothing read in the window
	FindIndexDuplicate Kind = "index.duplicate" // By of an index that another serves as well
	FindIndexInvalid   Kind = "index.invalid"   // By of an index that is kept up and cannot be used
	FindWraparound     Kind = "xid.age"         // transactions since the oldest row was frozen
	FindSequenceUse    Kind = "sequence.used"   // share of a sequence that is used up, 0..1
)

// unusedBytes: a smaller index costs too little to speak of.
const unusedBytes = 10 << 20

// youngXID: autovacuum freezes rows of this age by itself
// (autovacuum_freeze_max_age).
const youngXID = 200e6

var housekeeping = Analyzer{
	Name:  "housekeeping",
	Doc:   "Indexes that nothing reads, that repeat another or are invalid, the age of transaction ids, and sequences that run out. None of them explains a run's latency.",
	Needs: []evidence.Kind{evidence.PGIndexes},
	Uses:  []evidence.Kind{evidence.PGTables},
	Finds: []Kind{FindIndexUnused, FindIndexDuplicate, FindIndexInvalid, FindWraparound, FindSequenceUse},
	Run:   runHousekeeping,
}

func runHousekeeping(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for k := range pg.Indexes {
			reportIndex(p, pg, &pg.Indexes[k])
		}
		reportWraparound(p, pg)
		for _, s := range pg.Sequences {
			p.Report(Finding{Kind: FindSequenceUse, Entity: evidence.Entity{Instance: pg.Server.Name, Resource: s.Name}, Value: s.Used, Unit: "1",
				Text: fmt.Sprintf("%.0f %% of sequence %s, or of the column it feeds, are used up", s.Used*100, s.Name), Facts: map[string]string{"sequence": s.Name}})
		}
	}
	return nil
}

func reportIndex(p *Pass, pg *evidence.Postgres, x *evidence.PGIndex) {
	e := evidence.Entity{Instance: pg.Server.Name, Resource: x.Name}
	facts := map[string]string{"index": x.Name, "table": x.Table, "covered_by": x.CoveredBy}
	report := func(k Kind, text string) {
		p.Report(Finding{Kind: k, Entity: e, Value: x.Bytes, Unit: "By", Text: text, Facts: facts, Refs: []evidence.Ref{{Source: "postgres", Query: "SELECT * FROM pg_stat_user_indexes WHERE indexrelname = '" + x.Name + "'"}}})
	}
	needed := x.Unique || x.Primary || x.Constraint
	t := tableOf(pg, x.Table)
	switch {
	case !x.Valid:
		report(FindIndexInvalid, fmt.Sprintf("index %s of %s is invalid: every write maintains it and nothing can read it", x.Name, x.Table))
	case x.CoveredBy != "":
		report(FindIndexDuplicate, fmt.Sprintf("index %s of %s (%.0f MB) does nothing that %s does not do", x.Name, x.Table, x.Bytes/1e6, x.CoveredBy))
	case x.Scans == 0 && !needed && x.Bytes >= unusedBytes && t != nil && t.Inserted+t.Updated+t.Deleted > 0:
		report(FindIndexUnused, fmt.Sprintf("nothing read index %s of %s (%.0f MB) in this window, and %.0f writes maintained it", x.Name, x.Table, x.Bytes/1e6, t.Inserted+t.Updated+t.Deleted))
	}
}

func reportWraparound(p *Pass, pg *evidence.Postgres) {
	age, table := 0.0, ""
	if pg.Cluster != nil {
		age = pg.Cluster.XIDAge
	}
	for i := range pg.Tables {
		if t := &pg.Tables[i]; t.XIDAge > age {
			age, table = t.XIDAge, t.Name
		}
	}
	if age < youngXID {
		return
	}
	p.Report(Finding{Kind: FindWraparound, Entity: evidence.Entity{Instance: pg.Server.Name, Resource: pg.Server.Name}, Value: age, Unit: "{transaction}",
		Text: fmt.Sprintf("the oldest row was frozen %.0f million transactions ago; at 2,000 million the server stops taking writes", age/1e6), Facts: map[string]string{"table": table}})
}
