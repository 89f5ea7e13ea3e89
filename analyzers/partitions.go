package analyzers

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindPartitionScans Kind = "partition.scans" // partitions that every call of a statement reads
	FindPartitionLocks Kind = "partition.locks" // share of its active time waiting for the server's lock table, 0..1
)

// partitionCalls below which nothing is said, and partitionSeen, the scans of
// the least read partition for each call, from which all are read by each. It
// is below 1 because counters of tables come later than those of statements.
const (
	partitionCalls = 20
	partitionSeen  = 0.8
)

// partitions finds statements that read every partition of a table at each
// call. The text alone does not tell (a limit may end a call early, a join may
// prune while it runs), and a generic plan shows all partitions even where it
// prunes; the partitions' own counters do tell.
var partitions = Analyzer{
	Name: "partitions",
	Doc: "Statements that compare no column of a partitioned table's key and so read all of its partitions, by the partitions' own scans; the waits for the lock table that so many locks a call bring. " +
		"The gain by leaving one partition, an upper bound.",
	Needs: []evidence.Kind{evidence.PGStatements, evidence.PGTables},
	Uses:  []evidence.Kind{evidence.PGActivity, evidence.Spans},
	Finds: []Kind{FindPartitionScans, FindPartitionLocks},
	Run:   runPartitions,
}

func runPartitions(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		for k := range pg.Partitions {
			reportPartitions(p, pg, &pg.Partitions[k])
		}
	}
	return nil
}

func reportPartitions(p *Pass, pg *evidence.Postgres, pt *evidence.PGPartition) {
	leaves, least := leavesOf(pg, pt.Name)
	var wide []*evidence.Statement
	calls, total := 0.0, execTotal(pg)
	for i := range pg.Statements {
		if s := &pg.Statements[i]; slices.Contains(pt.Unpruned, s.QueryID) && s.Calls >= partitionCalls {
			wide, calls = append(wide, s), calls+s.Calls
		}
	}
	if leaves < 2 || calls == 0 || least < partitionSeen*calls {
		return
	}
	columns := strings.Join(pt.Columns, ", ")
	for _, s := range wide {
		if s.Exec < busyShare*total {
			continue
		}
		e := reportStatement(p, pg, s, statementFinding{kind: FindPartitionScans, value: float64(leaves), unit: "{partition}", cut: 1 - 1/float64(leaves), atMost: true,
			facts: map[string]string{"table": pt.Name, "columns": columns, "method": pt.Method, "partitions": fmt.Sprint(leaves), "blocks": fmt.Sprintf("%.0f", s.BlocksPerCall())},
			text:  fmt.Sprintf("each call reads all of the %d partitions of %s (%s by %s), because no condition compares %s: %.0f blocks for %.1f rows", leaves, pt.Name, pt.Method, columns, columns, s.BlocksPerCall(), s.Rows/s.Calls)})
		reportLockTable(p, pg, s, e)
	}
}

// leavesOf counts the partitions of a table, and gives the scans of the one
// that was scanned least.
func leavesOf(pg *evidence.Postgres, table string) (leaves int, least float64) {
	least = math.Inf(1)
	for i := range pg.Tables {
		if t := &pg.Tables[i]; t.Root == table {
			leaves++
			least = min(least, t.SeqScan+t.IdxScan)
		}
	}
	return leaves, least
}

// reportLockTable: a session keeps the locks of sixteen relations to itself
// (before 18), partitions and their indexes each counting as one; all further
// ones go to the table that every session shares. Where sessions wait for
// locks themselves, its use is a consequence.
func reportLockTable(p *Pass, pg *evidence.Postgres, s *evidence.Statement, e evidence.Entity) {
	by, total := waitsOf(pg, map[string]bool{s.QueryID: true})
	if total < fewestSightings {
		return
	}
	for name := range by {
		if strings.HasPrefix(name, "Lock:") {
			return
		}
	}
	share := per(float64(by["LWLock:LockManager"]), float64(total))
	p.Report(Finding{Kind: FindPartitionLocks, Entity: e, Value: share, Unit: "1", Refs: []evidence.Ref{activityRef},
		Text: fmt.Sprintf("%.0f %% of its active time waits for the server's lock table, where nobody waits for a lock itself", share*100)})
}
