package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// BaselineOf measures a run as others are compared with: the p95 of every
// operation that had requests enough for one. Its low-load stage counts, as it
// does in the run that is judged.
func BaselineOf(b *evidence.Bundle) *evidence.BaselineRun {
	run := &evidence.BaselineRun{Window: b.Window, Culprit: b.Version}
	for _, s := range factsOf(b).Symptoms {
		if s.Requests >= minRequests && s.P95 > 0 {
			run.Operations = append(run.Operations, evidence.BaselineOp{Entity: s.Entity, Source: s.Source, Requests: s.Requests, RPS: s.RPS, P95: s.P95})
		}
	}
	slices.SortStableFunc(run.Operations, func(x, y evidence.BaselineOp) int {
		return cmp.Or(x.Entity.Compare(y.Entity), cmp.Compare(x.Source, y.Source))
	})
	return run
}

// baselineFromRun takes the operation's p95 of the run that was named; false
// where that run did not have the operation, measured in the same way. Percentiles
// of buckets and of sampled traces are not compared with each other.
//
// A run that is named as healthy replaces the objective that is assumed
// otherwise: what was accepted then is not slow now.
func (s *Symptom) baselineFromRun(b *evidence.Bundle) bool {
	if b.BaselineRun == nil {
		return false
	}
	for _, o := range b.BaselineRun.Operations {
		if o.Entity == s.Entity && o.Source == s.Source {
			s.BaselineP95, s.againstRun = o.P95, true
			s.BaselineNote = fmt.Sprintf("the baseline run of %s (%.0f requests at %.3g/s)", b.BaselineRun.Window.Start.UTC().Format(time.DateTime), o.Requests, o.RPS)
			return true
		}
	}
	return false
}

// AgainstRun says whether the baseline is of a run that was named as healthy.
func (s *Symptom) AgainstRun() bool { return s.againstRun }
