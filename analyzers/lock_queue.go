package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindLockQueue     Kind = "lock.queue"      // sessions that wait for a lock on a relation, average over the window
	FindLockQueueWait Kind = "lock.queue.wait" // s that one of them waited, at most
	FindLockQueueRoot Kind = "lock.queue.root" // s that the transaction at the head of the queue was open, at most
)

// lockQueue finds queues for a lock on a whole relation and who stands at
// their head. Sampled sessions are the only witness inside the server: neither
// pg_stat_statements nor active_time counts what a prepared statement waits
// while it is bound (measured: mean 0.02 ms where each call waited 5 s).
var lockQueue = Analyzer{
	Name:  "lock-queue",
	Doc:   "Sessions that queue for a lock on a whole table, who holds it, and what stands in the middle, from sampled sessions and who blocks whom; the gain by taking the waits out of the statements' spans.",
	Needs: []evidence.Kind{evidence.PGActivity},
	Uses:  []evidence.Kind{evidence.PGBlocking, evidence.PGStatements, evidence.Spans},
	Finds: []Kind{FindLockQueue, FindLockQueueWait, FindLockQueueRoot},
	Run:   runLockQueue,
}

func runLockQueue(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		w := waitingFor(pg, isRelationLock)
		if w.count >= fewestSightings {
			reportLockQueue(p, pg, w)
		}
	}
	return nil
}

func reportLockQueue(p *Pass, pg *evidence.Postgres, w *waiting) {
	q := queueOf(pg.Blocking)
	list := w.statements()
	cut := shares(list, 1)
	q.cutWithoutID(w, cut)
	c := p.charge(cut, max(longestWait(list), q.wait), "longest wait for the lock that was seen")
	e := c.about(pg, q.relation)
	text := fmt.Sprintf("%.1f sessions on average wait for a lock on %s%s", w.sessions(), cmp.Or(q.relation, "a relation"), q.story())
	f := c.finding(FindLockQueue, e, w.sessions(), "{session}", text, q.facts(pg))
	f.Charts = []Chart{p.waitChart(pg)}
	p.Report(f)
	if q.wait > 0 {
		p.Report(Finding{Kind: FindLockQueueWait, Entity: e, Value: q.wait, Unit: "s", Refs: []evidence.Ref{blockingRef},
			Text: fmt.Sprintf("one of them waited %.1f s", q.wait)})
	}
	if q.root != nil {
		p.Report(Finding{Kind: FindLockQueueRoot, Entity: e, Value: q.root.MaxBlockerTx, Unit: "s", Refs: []evidence.Ref{blockingRef},
			Text: fmt.Sprintf("at the head stands a transaction open for %.1f s: %s", q.root.MaxBlockerTx, blockerName(q.root))})
	}
}

var blockingRef = evidence.Ref{Source: "postgres", Query: "SELECT pid, pg_blocking_pids(pid), wait_event, query FROM pg_stat_activity WHERE wait_event_type = 'Lock'"}

// queue for one relation.
type queue struct {
	pg       *evidence.Postgres
	relation string
	wait     float64             // s, at most
	root     *evidence.BlockEdge // its blocker waits for no lock
	middle   *evidence.BlockEdge // its blocker waits itself, and all behind it wait for it
}

// queueOf reads the queue with most sightings out of who blocks whom. Edges
// are folded by statement: a blocker that is idle in its transaction is a
// root even where the same statement waits elsewhere.
func queueOf(edges []evidence.BlockEdge) *queue {
	q := &queue{relation: busiestRelation(edges)}
	waits := map[string]bool{}
	for i := range edges {
		if e := &edges[i]; e.LockType == "relation" && e.Relation == q.relation {
			q.wait = max(q.wait, e.MaxWait)
			waits[e.Waiter] = true
		}
	}
	for i := range edges {
		e := &edges[i]
		if e.LockType != "relation" || e.Relation != q.relation {
			continue
		}
		switch queued := e.BlockerState == "active" && e.Blocker != "" && waits[e.Blocker]; {
		case !queued && (q.root == nil || e.MaxBlockerTx > q.root.MaxBlockerTx):
			q.root = e
		case queued && (q.middle == nil || e.Samples > q.middle.Samples):
			q.middle = e
		}
	}
	return q
}

func busiestRelation(edges []evidence.BlockEdge) string {
	seen := map[string]int{}
	best := ""
	for i := range edges {
		if e := &edges[i]; e.LockType == "relation" {
			seen[e.Relation] += e.Samples
		}
	}
	for name, n := range seen {
		if best == "" || n > seen[best] || n == seen[best] && name < best {
			best = name
		}
	}
	return best
}

// cutWithoutID charges waits without a query id, which a server shows while
// it binds a statement, to the statements of the same verb on the relation.
func (q *queue) cutWithoutID(w *waiting, cut map[string]float64) {
	for i := range w.pg.Statements {
		s := &w.pg.Statements[i]
		verb := evidence.SQLVerb(s.Text)
		if n := w.in[verb]; n > 0 && slices.Contains(s.Tables, q.relation) {
			seen := w.seen[verb] + w.seen[s.QueryID]
			cut[s.Key] = max(cut[s.Key], per(float64(n+w.in[s.QueryID]), float64(seen)))
		}
	}
}

// story of the queue, from its head.
func (q *queue) story() string {
	text := ""
	if q.root != nil {
		text += fmt.Sprintf("; the first to hold it is %s, open for %.1f s", blockerName(q.root), q.root.MaxBlockerTx)
	}
	if q.middle != nil {
		text += fmt.Sprintf("; behind it waits %s, and everyone else behind that", blockerName(q.middle))
	}
	return text
}

// blockerName says who blocks: application, state and present or last
// statement.
func blockerName(e *evidence.BlockEdge) string {
	parts := []string{e.BlockerApp, e.BlockerState}
	if e.BlockerText != "" {
		parts = append(parts, "`"+shorten(e.BlockerText, 120)+"`")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func (q *queue) facts(pg *evidence.Postgres) map[string]string {
	f := serverFacts(pg, map[string]string{"table": q.relation, "wait_s": fmt.Sprintf("%.1f", q.wait)})
	if q.root != nil {
		f["root"], f["root_s"], f["root_state"] = blockerName(q.root), fmt.Sprintf("%.1f", q.root.MaxBlockerTx), q.root.BlockerState
		if strings.HasPrefix(q.root.BlockerText, "autovacuum") {
			f["autovacuum"] = "true"
		}
	}
	if q.middle != nil {
		f["middle"] = blockerName(q.middle)
	}
	return f
}
