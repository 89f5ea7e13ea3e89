package analyzers

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// All is the register: every analyzer, in the order of the catalogue.
func All() []Analyzer {
	return []Analyzer{
		nPlusOne,
		cachePath,
		cacheStampede,
		coldStart,
		pagination,
		serialCalls,
		chattyCalls,
		retries,
		timeouts,
		stragglers,
		callGap,
		largePayloadCalls,
		slowStatement,
		slowDependency,
		databaseClocks,
		cpuThrottling,
		cpuQuota,
		poolSaturation,
		cacheRatio,
		cacheFallback,
		attributeContrast,
		missingIndex,
		indexContention,
		databaseWaits, blockReads,
		lockQueue,
		rowLocks,
		idleTransactions,
		vacuumBlocked,
		slowCommit,
		serverConnections,
		connectionChurn,
		tempSpill,
		plans,
		partitions,
		parallel,
		indexUpkeep,
		statementFanout,
		databaseEvents,
		housekeeping,
		cpuSaturation,
		gcPressure,
		memoryPressure,
		memoryLeak,
		workerSaturation,
		connectionLimit,
		ioSaturation,
		coldCache,
		queueBacklog,
		autoscalingLag,
		podDisruption,
		loadImbalance,
		rateLimiting,
		dnsLatency, netStack,
		loadGenerator,
		changes,
		oversized,
	}
}

// Run runs every analyzer over a sorted bundle. What an analyzer lacks, or
// fails on, becomes a Skip; it never fails the whole.
func Run(b *evidence.Bundle) *Result {
	r := &Result{Facts: factsOf(b)}
	r.Notes = append(repairNotes(r.Facts.Traces), r.Facts.weighed...)
	for _, a := range All() {
		if missing := missingKinds(b, &a); len(missing) > 0 {
			r.Skips = append(r.Skips, Skip{Analyzer: a.Name, Missing: missing, Finds: a.Finds})
			continue
		}
		if err := runOne(a, b, r); err != nil {
			r.Skips = append(r.Skips, Skip{Analyzer: a.Name, Finds: a.Finds, Err: err.Error()})
		}
	}
	r.Limits = limitsOf(&Pass{Bundle: b, Facts: r.Facts})
	r.Scalability = scalabilityOf(&Pass{Bundle: b, Facts: r.Facts})
	findOnsets(r.Findings)
	slices.SortStableFunc(r.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), x.Entity.Compare(y.Entity), cmp.Compare(y.Value, x.Value), cmp.Compare(x.Text, y.Text))
	})
	r.Notes = append(r.Notes, contrastNotes(r)...)
	return r
}

// runOne keeps one analyzer's bug from taking the others' findings with it.
func runOne(a Analyzer, b *evidence.Bundle, r *Result) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("analyzer %s failed: %v", a.Name, p)
		}
	}()
	return a.Run(&Pass{Bundle: b, Facts: r.Facts, report: func(f Finding) { r.Findings = append(r.Findings, f) }})
}

// missingKinds of those that an analyzer needs; of those of which it needs any,
// all where none is there.
func missingKinds(b *evidence.Bundle, a *Analyzer) []evidence.Kind {
	lacks := func(kinds []evidence.Kind) (missing []evidence.Kind) {
		for _, k := range kinds {
			if !b.Has(k) {
				missing = append(missing, k)
			}
		}
		return missing
	}
	missing := lacks(a.Needs)
	if any := lacks(a.NeedsAny); len(any) == len(a.NeedsAny) {
		missing = append(missing, any...)
	}
	return missing
}
