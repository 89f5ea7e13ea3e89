package analyzers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindIndexUpkeep Kind = "index.upkeep"     // share of the work of a table's writes that goes into indexes which nothing read, 0..1
	FindUpkeepWAL   Kind = "index.upkeep.wal" // By of log for each row written, over what the row and its head take
	FindHotLost     Kind = "hot.lost"         // share of a table's updates that had to enter every index anew, 0..1
	FindHotWork     Kind = "hot.work"         // share of the work of these updates that goes into the indexes, 0..1
)

// What a write touches beside its indexes, in blocks a row, and how much each
// index adds, from nine reproduced loads on PostgreSQL 15: 2.1 blocks with no
// index, 3.7 with one, 22.5 with nine; 5.0 for an update that stays on its
// page. Time went with blocks: 1.7, 2.7 and 14 us.
const (
	insertBlocks = 2.1
	updateBlocks = 5.0
	rowHead      = 100 // By of log beside the row itself

	upkeepIndexes = 5 // fewer indexes are nobody's trouble
	upkeepRows    = 1000
	hotKept       = 0.5 // share of updates that stay on their page, from which on all is well
)

// indexUpkeep measures what writers pay for indexes: those that nothing reads,
// and those that keep updates from being heap-only, because a column that they
// follow is set.
var indexUpkeep = Analyzer{
	Name: "index-upkeep",
	Doc: "Write work that goes into a table's indexes: into those that nothing read in the window, and into all of them where an update sets a column that one follows or finds no room on its page. " +
		"From blocks and log a row; the gain by the share of blocks, an upper bound where the index is read.",
	Needs: []evidence.Kind{evidence.PGStatements, evidence.PGTables, evidence.PGIndexes},
	Uses:  []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindIndexUpkeep, FindUpkeepWAL, FindHotLost, FindHotWork},
	Run:   runIndexUpkeep,
}

func runIndexUpkeep(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if pg.Subset { // whether an index is read is a matter of the window
			continue
		}
		total := execTotal(pg)
		for k := range pg.Tables {
			t := &pg.Tables[k]
			w := writesOf(pg, t, total)
			if len(w.statements) > 0 && t.Inserted+t.Updated >= upkeepRows {
				if !reportHot(p, pg, w) { // which would save the work of all indexes
					reportUpkeep(p, pg, w)
				}
			}
		}
	}
	return nil
}

// written is a table with the statements that write it, and its indexes.
type written struct {
	table      *evidence.PGTable
	indexes    []*evidence.PGIndex
	statements []*evidence.Statement
}

// writesOf takes the statements that insert into the table or update it, and
// nothing else: those that name a second table spend their blocks there too.
func writesOf(pg *evidence.Postgres, t *evidence.PGTable, total float64) written {
	w := written{table: t, indexes: slices.DeleteFunc(indexesOf(pg, t.Name), func(x *evidence.PGIndex) bool { return !x.Valid })}
	for i := range pg.Statements {
		s := &pg.Statements[i]
		if slices.Contains([]string{"INSERT", "COPY", "UPDATE"}, evidence.SQLVerb(s.Text)) && slices.Equal(s.Tables, []string{t.Name}) &&
			s.Rows > 0 && s.Exec > 0 && s.Exec >= busyShare*total {
			w.statements = append(w.statements, s)
		}
	}
	return w
}

// entered is how many indexes a row of the statement goes into: all of them
// for a new row, all at each update that is not heap-only.
func (w *written) entered(s *evidence.Statement) float64 {
	n := float64(len(w.indexes))
	if evidence.SQLVerb(s.Text) == "UPDATE" {
		return n * w.hotLost()
	}
	return n
}

func (w *written) hotLost() float64 { return clamp01(1 - per(w.table.HotUpdated, w.table.Updated)) }

// indexWork is the share of a statement's blocks that its indexes take.
func (w *written) indexWork(s *evidence.Statement) float64 {
	heap := insertBlocks
	if evidence.SQLVerb(s.Text) == "UPDATE" {
		heap = updateBlocks
	}
	if w.entered(s) == 0 {
		return 0
	}
	return clamp01(1 - heap/((s.Hit+s.Read)/s.Rows))
}

// charge cuts a share of each statement that takes part in it.
func (w *written) charge(p *Pass, part func(*evidence.Statement) float64) (c charge, work float64) {
	cut, saved := map[string]float64{}, 0.0
	var gone, exec float64
	for _, s := range w.statements {
		share := part(s)
		if share <= 0 {
			continue
		}
		cut[s.Key] = share
		saved = max(saved, share*s.Mean())
		gone, exec = gone+share*s.Exec, exec+s.Exec
	}
	return p.charge(cut, saved, "mean time of the statement by the server's own account"), per(gone, exec)
}

// reportUpkeep: many indexes, some of which nothing read.
func reportUpkeep(p *Pass, pg *evidence.Postgres, w written) {
	unread := unreadIndexes(w.indexes)
	if len(w.indexes) < upkeepIndexes || len(unread) == 0 {
		return
	}
	part := float64(len(unread)) / float64(len(w.indexes))
	c, work := w.charge(p, func(s *evidence.Statement) float64 { return part * w.indexWork(s) })
	if work == 0 {
		return
	}
	e := c.about(pg, w.table.Name)
	p.Report(c.finding(FindIndexUpkeep, e, work, "1", fmt.Sprintf("%d of the %d indexes of %s were not read, and %.0f %% of the work of writing it goes into them", len(unread), len(w.indexes), w.table.Name, work*100),
		w.facts(pg, unread, "unread")))
	w.reportLog(p, e)
}

func (w *written) facts(pg *evidence.Postgres, indexes []*evidence.PGIndex, how string) map[string]string {
	return serverFacts(pg, map[string]string{"table": w.table.Name, how: strings.Join(names(indexes), ", "), "count": fmt.Sprint(len(w.indexes)), "fillfactor": fmt.Sprintf("%.0f", w.table.FillFactor)})
}

// reportLog compares the log with the row. Pages that it holds whole after a
// checkpoint are not the indexes' fault.
func (w *written) reportLog(p *Pass, e evidence.Entity) {
	var bytes, rows float64
	for _, s := range w.statements {
		bytes, rows = bytes+max(s.WALBytes-8192*s.WALFPI, 0), rows+s.Rows
	}
	row := per(w.table.Bytes, w.table.Live) + rowHead
	if bytes == 0 || w.table.Live == 0 {
		return
	}
	ratio := bytes / rows / row
	p.Report(Finding{Kind: FindUpkeepWAL, Entity: e, Value: ratio, Unit: "1",
		Text: fmt.Sprintf("each row written to %s takes %.0f bytes of log, %.1f times what the row itself does", w.table.Name, bytes/rows, ratio)})
}

// reportHot: updates that enter every index. Either a column is set that an
// index follows, or the page has no room for the new version; the latter also
// comes of a vacuum that is held up, which is told elsewhere. The answer tells
// whether it was found.
func reportHot(p *Pass, pg *evidence.Postgres, w written) bool {
	if w.table.Updated < upkeepRows || w.hotLost() < 1-hotKept || len(w.indexes) == 0 {
		return false
	}
	following := w.following()
	if len(following) == 0 && (oldestHolder(pg) != nil || w.table.FillFactor < 100) {
		return false
	}
	c, work := w.charge(p, func(s *evidence.Statement) float64 {
		if evidence.SQLVerb(s.Text) != "UPDATE" || len(following) > 0 && len(followers(w.indexes, s)) == 0 {
			return 0
		}
		return w.indexWork(s)
	})
	if work == 0 {
		return false
	}
	how, why := "following", "they set columns that an index follows ("+strings.Join(names(following), ", ")+")"
	if len(following) == 0 {
		how, why = "room", "the page had no room for the new version"
	}
	facts := w.facts(pg, following, how)
	if how == "room" {
		facts[how] = "none"
	}
	if len(unreadIndexes(following)) < len(following) || how == "room" {
		c.impact.limit()
	}
	e := c.about(pg, w.table.Name)
	lost := w.hotLost()
	p.Report(c.finding(FindHotLost, e, lost, "1", fmt.Sprintf("%.0f %% of the %.0f updates of %s entered all of its %d indexes anew, because %s", lost*100, w.table.Updated, w.table.Name, len(w.indexes), why), facts))
	p.Report(Finding{Kind: FindHotWork, Entity: e, Value: work, Unit: "1", Text: fmt.Sprintf("%.0f %% of the work of these updates goes into the indexes", work*100)})
	return true
}

// following are the indexes that an update of the table has to enter because
// it sets one of their columns.
func (w *written) following() (out []*evidence.PGIndex) {
	for _, x := range w.indexes {
		if slices.ContainsFunc(w.statements, func(s *evidence.Statement) bool { return slices.Contains(followers(w.indexes, s), x) }) {
			out = append(out, x)
		}
	}
	return out
}

// followers of a statement. A block range index follows no single row (16 and
// later leave it alone at an update within a page).
func followers(indexes []*evidence.PGIndex, s *evidence.Statement) (out []*evidence.PGIndex) {
	if evidence.SQLVerb(s.Text) != "UPDATE" {
		return nil
	}
	set := evidence.SQLAssigned(s.Text)
	for _, x := range indexes {
		columns := x.Follows
		if len(columns) == 0 {
			columns = x.Columns
		}
		if x.Method != "brin" && slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(set, c) }) {
			out = append(out, x)
		}
	}
	return out
}
