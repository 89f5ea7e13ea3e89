package archive

import (
	"context"
	"errors"
	"time"
)

// Store keeps runs and their reports. It is safe for concurrent use. An error
// other than those below means that the store could not be reached: nothing is
// known of what it holds, and the call may be repeated.
type Store interface {
	// Add records a run. The outcome says whether it is new; the run that comes
	// back is the one that stands in the store.
	Add(context.Context, Run, Admission) (Run, Outcome, error)
	// Take gives the oldest queued run to an owner, as running. No target has
	// two runs at once. ErrNone: there is nothing to do.
	Take(ctx context.Context, owner string) (Run, error)
	// Beat says that an owner is alive and at work on the runs of these keys.
	Beat(ctx context.Context, owner string, keys []string) error
	// Reap takes the runs of owners that were silent for so long away from
	// them: queued again, or interrupted after MaxAttempts. It gives those runs.
	Reap(ctx context.Context, silent time.Duration) ([]Run, error)
	// Release puts a run of a stopping owner back into the queue.
	Release(context.Context, Run) error
	// Finish records the end of a run with its report, nil for none. ErrLost:
	// somebody else has it by now, and nothing was written.
	Finish(ctx context.Context, r Run, report []byte) error
	// Runs lists records, the latest slot first.
	Runs(context.Context, Query) ([]Run, error)
	// Get gives one record by its id. ErrUnknown.
	Get(ctx context.Context, id string) (Run, error)
	// Report gives the JSON report of a run. ErrUnknown where it has none.
	Report(ctx context.Context, id string) ([]byte, error)
	// Depth counts the queued and the running.
	Depth(context.Context) (queued, running int, err error)
	// Prune removes what is too old or too much, and says how many.
	Prune(context.Context, Keep) (int, error)
	// Put writes a record as it is, with its report: to bring a history from
	// elsewhere. It reports whether it was new.
	Put(ctx context.Context, r Run, report []byte) (bool, error)
	Close()
}

var (
	ErrNone    = errors.New("history: nothing is queued")
	ErrLost    = errors.New("history: the run was taken over by another process")
	ErrUnknown = errors.New("history: there is no such run or report")
)

// Query selects records. Zero values select all.
type Query struct {
	Target  string
	Trigger Trigger
	Before  time.Time // slots before this
	States  []State
	Limit   int // 0: 100
}

const defaultLimit = 100

// Keep says what may stay. The newest run of every target and trigger always
// stays: it says up to when the schedule was kept.
type Keep struct {
	Age  time.Duration // 0: for ever
	Runs int           // a target; 0: any number
}

// Outcome of an admission.
type Outcome string

const (
	Added   Outcome = "queued"
	Known   Outcome = "known"   // a run with this key is there
	Cooling Outcome = "cooling" // the same group of alerts had a run a short while ago
	Full    Outcome = "full"    // the queue is full: nothing was recorded
	Overlap Outcome = "overlap" // recorded as skipped: the run before has not ended
)

// Admission bounds what is queued.
type Admission struct {
	Queue    int           // queued runs at most; 0: any number
	Cooldown time.Duration // between two runs of a group of alerts
}

// facts are what an admission is decided on.
type facts struct {
	queued int       // runs in the queue
	open   *Run      // the open scheduled run of the same target
	group  time.Time // when the last run of the same group was added
}

// decide applies the rules to a run whose key is not known. It may turn the run
// into one that is skipped.
func (a Admission) decide(r *Run, f facts) Outcome {
	switch {
	case !r.State.Open():
		return Added // a record of what will not be done
	case r.Group != "" && !f.group.IsZero() && r.Added.Sub(f.group) < a.Cooldown:
		return Cooling
	case r.Trigger == Schedule && f.open != nil:
		r.State, r.Ended = Skipped, r.Added
		r.Reason = "the audit of " + f.open.Slot.UTC().Format(time.RFC3339) + " was still " + string(f.open.State)
		return Overlap
	case a.Queue > 0 && f.queued >= a.Queue && r.Trigger != Schedule:
		return Full
	}
	return Added
}

// takenAway is a run whose owner went away: for the queue, or for good.
func takenAway(r Run, now time.Time) Run {
	r.Reason = "the process " + r.Owner + " went away in the middle"
	r.State, r.Owner = Queued, ""
	if r.Attempt >= MaxAttempts {
		r.State, r.Ended = Interrupted, now
	}
	return r
}

// released is a run that goes back into the queue. It does not count as begun.
func released(r Run) Run {
	r.Reason = "the process " + r.Owner + " stopped before it was done"
	r.State, r.Owner, r.Attempt, r.Began = Queued, "", max(0, r.Attempt-1), time.Time{}
	return r
}
