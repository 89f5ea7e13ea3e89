package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Copied is the account of a copy.
type Copied struct{ Runs, Known, Open int }

// Copy brings the history of one store into another. Records that are there
// already stay as they are, so that it may be repeated. What is queued or
// running comes as queued.
func Copy(ctx context.Context, to, from Store) (Copied, error) {
	var out Copied
	runs, err := from.Runs(ctx, Query{Limit: math.MaxInt32})
	for _, r := range runs {
		if err := copyRun(ctx, to, from, r, &out); err != nil {
			return out, err
		}
	}
	return out, err
}

func copyRun(ctx context.Context, to, from Store, r Run, out *Copied) error {
	var report []byte
	if r.Reported {
		var err error
		if report, err = from.Report(ctx, r.ID); err != nil && !errors.Is(err, ErrUnknown) {
			return fmt.Errorf("run %s: %w", r.ID, err)
		}
	}
	r.Reported = report != nil
	if r.State.Open() {
		out.Open++
		if r.State == Running {
			r = released(r)
		}
	}
	added, err := to.Put(ctx, r, report)
	switch {
	case err != nil:
		return fmt.Errorf("run %s: %w", r.ID, err)
	case added:
		out.Runs++
	default:
		out.Known++
	}
	return nil
}
