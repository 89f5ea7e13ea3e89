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
	FindDBTempShare         Kind = "db.temp.share"
	FindDBCPUShare          Kind = "db.cpu.share"
)

// databaseWaits says where a server's active sessions spent their time, class
// by class, so that rules can explain one class away by another.
var databaseWaits = Analyzer{
	Name:  "database-waits",
	Doc:   "Share of a PostgreSQL server's active sessions in each class of waits, from sampled sessions: relation locks, row locks, the write-ahead log, reads, temporary files, CPU.",
	Needs: []evidence.Kind{evidence.PGActivity},
	Finds: []Kind{FindDBRelationLockShare, FindDBRowLockShare, FindDBCommitShare, FindDBReadShare, FindDBTempShare, FindDBCPUShare},
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
		{FindDBReadShare, "reading blocks that were not in shared_buffers", isRead},
		{FindDBTempShare, "reading and writing temporary files", isTempIO},
		{FindDBCPUShare, "on CPU or ready to run", isOnCPU},
	}
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		if waitingFor(pg, isRead).total < fewestSightings {
			continue
		}
		e := evidence.Entity{Instance: pg.Server.Name}
		for _, c := range classes {
			w := waitingFor(pg, c.match)
			p.Report(Finding{Kind: c.kind, Entity: e, Value: w.share(), Unit: "1", Refs: []evidence.Ref{activityRef},
				Text: fmt.Sprintf("active sessions of %s spent %.0f %% of their time %s", pg.Server.Name, w.share()*100, c.text)})
		}
	}
	return nil
}
