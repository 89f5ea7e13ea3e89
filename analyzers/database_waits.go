package analyzers

import (
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Shares of the active sessions' time, 0..1, by what they waited for.
const (
	FindDBRelationLockShare Kind = "db.relation-lock.share"
	FindDBRowLockShare      Kind = "db.row-lock.share"
	FindDBCommitShare       Kind = "db.commit.share"
	FindDBReadShare         Kind = "db.read.share"
	FindDBReadLatency       Kind = "db.read.latency" // s to read one block, where the server times it
	FindDBTempShare         Kind = "db.temp.share"
	FindDBCPUShare          Kind = "db.cpu.share"
)

// databaseWaits says where a server's active sessions spent their time, class
// by class, so that rules can explain one class away by another.
var databaseWaits = Analyzer{
	Name:  "database-waits",
	Doc:   "Share of a PostgreSQL server's active sessions in each class of waits, from sampled sessions: relation locks, row locks, the write-ahead log, reads, temporary files, CPU.",
	Needs: []evidence.Kind{evidence.PGActivity},
	Uses:  []evidence.Kind{evidence.PGStatements, evidence.Spans},
	Finds: []Kind{FindDBRelationLockShare, FindDBRowLockShare, FindDBCommitShare, FindDBReadShare, FindDBReadLatency, FindDBTempShare, FindDBCPUShare},
	Run:   runDatabaseWaits,
}

func isRelationLock(w *evidence.WaitSample) bool { return w.WaitType == "Lock" && w.Wait == "relation" }

func isRowLock(w *evidence.WaitSample) bool {
	return w.WaitType == "Lock" && (w.Wait == "transactionid" || w.Wait == "tuple")
}

func isRead(w *evidence.WaitSample) bool {
	return w.Wait == "DataFileRead" || w.Wait == "DataFilePrefetch"
}

func isTempIO(w *evidence.WaitSample) bool {
	return w.Wait == "BufFileRead" || w.Wait == "BufFileWrite" || w.Wait == "BufFileTruncate"
}

func isOnCPU(w *evidence.WaitSample) bool { return w.WaitType == "" }

func runDatabaseWaits(p *Pass) error {
	classes := []struct {
		kind  Kind
		text  string
		match func(*evidence.WaitSample) bool
	}{
		{FindDBRelationLockShare, "waiting for a lock on a whole relation", isRelationLock},
		{FindDBRowLockShare, "waiting for rows that others had locked", isRowLock},
		{FindDBCommitShare, "waiting for the write-ahead log", isCommitWait},
		{FindDBTempShare, "reading and writing temporary files", isTempIO},
		{FindDBCPUShare, "on CPU or ready to run", isOnCPU},
	}
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		reads := waitingFor(pg, isRead)
		if reads.total < fewestSightings {
			continue
		}
		e := evidence.Entity{Instance: pg.Server.Name}
		for _, c := range classes {
			w := waitingFor(pg, c.match)
			p.Report(Finding{Kind: c.kind, Entity: e, Value: w.share(), Unit: "1", Refs: []evidence.Ref{activityRef},
				Text: fmt.Sprintf("active sessions of %s spent %.0f %% of their time %s", pg.Server.Name, w.share()*100, c.text)})
		}
		reportReads(p, pg, reads)
	}
	return nil
}

// reportReads measures the share of reads and what one costs. A block that
// the operating system had cached takes about 10 us, one from a device 100 us
// and more: the hit ratio tells neither (measured on PostgreSQL 15).
func reportReads(p *Pass, pg *evidence.Postgres, w *waiting) {
	list := w.statements()
	c := p.charge(shares(list, 1), longestWait(list), methodSampled)
	e := evidence.Entity{Service: c.caller.Service, Operation: c.caller.Operation, Instance: pg.Server.Name}
	text := fmt.Sprintf("active sessions of %s spent %.0f %% of their time reading blocks that were not in shared_buffers", pg.Server.Name, w.share()*100)
	facts := serverFacts(pg, map[string]string{})
	if len(list) > 0 {
		facts["statement"] = list[0].Text
	}
	p.Report(c.finding(FindDBReadShare, e, w.share(), "1", text, facts))
	blocks, took := 0.0, 0.0
	for i := range pg.Statements {
		blocks, took = blocks+pg.Statements[i].Read, took+pg.Statements[i].ReadTime
	}
	if blocks < 1000 || took == 0 {
		return
	}
	p.Report(Finding{Kind: FindDBReadLatency, Entity: e, Value: took / blocks, Unit: "s",
		Text: fmt.Sprintf("one block of %.0f took %.0f us to read", blocks, 1e6*took/blocks)})
}
