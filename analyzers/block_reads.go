package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindReadWait      Kind = "db.read.wait"    // share of the executor's time that went into reading blocks, 0..1
	FindDBReadLatency Kind = "db.read.latency" // s to read one block, where the server times it
)

const (
	// cachedRead is what a block takes that the operating system has cached, of
	// what one takes from a device: 10.4 of 206 us (PostgreSQL 15, 2 cores).
	cachedRead = 0.05
	// fewestBlocks: a cache that fills once is not one that is too small.
	fewestBlocks = 1000
)

// blockReads measures what statements wait for blocks that no cache holds. The
// hit ratio does not tell: it was 0.54 with 10 us a read and with 206 us, and
// better in the sick case of a missing index than in the healthy one.
var blockReads = Analyzer{
	Name:  "block-reads",
	Doc:   "The share of the executor's time that statements spend reading blocks, and what one read takes, by the server's own timing (track_io_timing), from sampled sessions where it is off; the gain by bringing each read to what it takes from the operating system's cache.",
	Needs: []evidence.Kind{evidence.PGStatements},
	Uses:  []evidence.Kind{evidence.PGActivity, evidence.PGTables, evidence.PGIndexes, evidence.Spans},
	Finds: []Kind{FindReadWait, FindDBReadLatency},
	Run:   runBlockReads,
}

// readers are a server's statements as readers of blocks.
type readers struct {
	blocks, took, exec float64
	cut                map[string]float64 // share of each statement's time that reading from memory would save
	saved              float64            // s, of a call of the statement that loses most
	most               *evidence.Statement
}

func runBlockReads(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		r := readersOf(pg)
		if r.blocks < fewestBlocks || r.most == nil {
			continue
		}
		p.reportReads(pg, r)
	}
	return nil
}

// readersOf a server. Parallel workers read side by side: their times may add
// up to more than the statement's own.
func readersOf(pg *evidence.Postgres) *readers {
	r, timed := &readers{cut: map[string]float64{}}, false
	for i := range pg.Statements {
		timed = timed || pg.Statements[i].ReadTime > 0
	}
	sampled, lost := shares(waitingFor(pg, isRead).statements(), 1), 0.0
	for i := range pg.Statements {
		s := &pg.Statements[i]
		took := min(s.ReadTime, s.Exec)
		if !timed {
			took = sampled[s.Key] * s.Exec
		}
		r.blocks, r.took, r.exec = r.blocks+s.Read, r.took+took, r.exec+s.Exec
		save := took * (1 - cachedRead)
		if save == 0 {
			continue
		}
		r.cut[s.Key] = max(r.cut[s.Key], clamp01(save/s.Exec))
		if save > lost {
			lost, r.most, r.saved = save, s, save/max(s.Calls, 1)
		}
	}
	return r
}

func (p *Pass) reportReads(pg *evidence.Postgres, r *readers) {
	c := p.charge(r.cut, r.saved, "mean time of a call that went into reading, by the server's own account")
	if by := p.Facts.callers(r.most.Key); len(by) > 0 {
		c.caller = by[0]
	}
	e := c.about(pg, pg.Server.Name)
	share, each := per(r.took, r.exec), per(r.took, r.blocks)
	facts := serverFacts(pg, map[string]string{"statement": r.most.Text, "blocks": fmt.Sprintf("%.0f", r.most.Read/max(r.most.Calls, 1)),
		"rate": fmt.Sprintf("%.0f", per(r.blocks, accountSeconds(pg))), "read_ms": fmt.Sprintf("%.2g", 1e3*each), "saved_ms": fmt.Sprintf("%.1f", 1000*r.saved)})
	if size := sizeOf(pg); size > 0 {
		facts["size"] = fmt.Sprintf("%.0f MiB", size/(1<<20))
	}
	f := c.finding(FindReadWait, e, share, "1", fmt.Sprintf("%.0f %% of the time of all statements of %s went into reading blocks that it did not have in memory; most of it in one that reads %s blocks a call, %.1f ms of its %.1f ms",
		100*share, pg.Server.Name, facts["blocks"], 1000*r.saved, 1000*r.most.Mean()), facts)
	f.Refs = append([]evidence.Ref{{Source: "postgres", Query: readsQuery(pg)}}, c.refs...)
	f.Charts = []Chart{p.waitChart(pg)}
	p.Report(f)
	p.Report(Finding{Kind: FindDBReadLatency, Entity: e, Value: each, Unit: "s", Text: fmt.Sprintf("one block of %.0f took %.0f us to read", r.blocks, 1e6*each)})
}

// readsQuery shows who reads most; the column was renamed with version 1.11 of
// the extension, which came with 17.
func readsQuery(pg *evidence.Postgres) string {
	column := "blk_read_time"
	if pg.Server.Version >= 170000 {
		column = "shared_blk_read_time"
	}
	return fmt.Sprintf("SELECT calls, shared_blks_read, %s, total_exec_time, query FROM pg_stat_statements ORDER BY %s DESC LIMIT 10", column, column)
}

// sizeOf the tables and indexes that were seen, bytes.
func sizeOf(pg *evidence.Postgres) float64 {
	size := 0.0
	for i := range pg.Tables {
		size += pg.Tables[i].Bytes
	}
	for i := range pg.Indexes {
		size += pg.Indexes[i].Bytes
	}
	return size
}
