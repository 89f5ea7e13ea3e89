package analyzers

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	FindIdleTx         Kind = "transaction.idle"          // sessions idle in a transaction, average over the window
	FindIdleTxBlocking Kind = "transaction.idle.blocking" // share of the lock waits seen whose holder was idle in a transaction, 0..1
	FindIdleTxHeld     Kind = "transaction.idle.held"     // s that such a holder had done nothing, at most
)

// idleTransactions finds holders of locks that do nothing. That sessions are
// idle in transactions says nothing by itself: a healthy load of short
// explicit transactions had 4.7 of them on average (PostgreSQL 15). What
// counts is who waits for one.
var idleTransactions = Analyzer{
	Name:  "idle-transactions",
	Doc:   "Sessions idle in a transaction, and how much of the waiting for locks is for them, from sampled sessions and who blocks whom; the gain by taking that share of the lock waits out of the statements' spans.",
	Needs: []evidence.Kind{evidence.PGActivity},
	Uses:  []evidence.Kind{evidence.PGBlocking, evidence.PGStatements, evidence.Spans},
	Finds: []Kind{FindIdleTx, FindIdleTxBlocking, FindIdleTxHeld},
	Run:   runIdleTransactions,
}

func isIdleTx(state string) bool { return strings.HasPrefix(state, "idle in transaction") }

func runIdleTransactions(p *Pass) error {
	for i := range p.Bundle.Postgres {
		pg := &p.Bundle.Postgres[i]
		reportIdleTx(p, pg)
		w := waitingFor(pg, func(s *evidence.WaitSample) bool { return isRowLock(s) || isRelationLock(s) })
		if worst, share := idleBlocker(pg); worst != nil && w.count >= fewestSightings {
			reportIdleBlocker(p, pg, w, worst, share)
		}
	}
	return nil
}

func reportIdleTx(p *Pass, pg *evidence.Postgres) {
	n := 0
	for i := range pg.Activity {
		if isIdleTx(pg.Activity[i].State) {
			n += pg.Activity[i].Sessions
		}
	}
	idle := per(float64(n), float64(pg.Ticks))
	p.Report(Finding{Kind: FindIdleTx, Entity: evidence.Entity{Instance: pg.Server.Name}, Value: idle, Unit: "{session}", Refs: []evidence.Ref{activityRef},
		Text: fmt.Sprintf("%.1f sessions of %s were idle in a transaction on average", idle, pg.Server.Name)})
}

// idleBlocker is the idle holder that did nothing for longest, and the share
// of the lock waits seen that were for idle holders.
func idleBlocker(pg *evidence.Postgres) (worst *evidence.BlockEdge, share float64) {
	idle, all := 0, 0
	for i := range pg.Blocking {
		e := &pg.Blocking[i]
		all += e.Samples
		if !isIdleTx(e.BlockerState) {
			continue
		}
		idle += e.Samples
		if worst == nil || idleOf(e) > idleOf(worst) {
			worst = e
		}
	}
	return worst, per(float64(idle), float64(all))
}

// idleOf an idle holder, s: a transaction may be open for long because it had
// itself to wait for the lock that it holds now. Its age is the most that it
// can be where the pauses were not timed.
func idleOf(e *evidence.BlockEdge) float64 { return cmp.Or(e.MaxBlockerIdle, e.MaxBlockerTx) }

func reportIdleBlocker(p *Pass, pg *evidence.Postgres, w *waiting, worst *evidence.BlockEdge, share float64) {
	list := w.statements()
	c := p.charge(shares(list, share), share*longestWait(list), methodSampled)
	e := c.about(pg, worst.Relation)
	facts := serverFacts(pg, map[string]string{"holder": blockerName(worst), "app": worst.BlockerApp, "held_s": fmt.Sprintf("%.1f", idleOf(worst)), "last": worst.BlockerText})
	p.Report(c.finding(FindIdleTxBlocking, e, share, "1",
		fmt.Sprintf("%.0f %% of the lock waits seen are for a session that does nothing with its transaction open: %s", share*100, blockerName(worst)), facts))
	p.Report(Finding{Kind: FindIdleTxHeld, Entity: e, Value: idleOf(worst), Unit: "s", Refs: []evidence.Ref{blockingRef},
		Text: fmt.Sprintf("it did nothing for %.2g s, in a transaction open for %.2g s", idleOf(worst), worst.MaxBlockerTx)})
}
