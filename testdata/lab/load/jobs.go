package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

// Schedule starts jobs at base while the load runs. The function that it
// returns ends them and says what failed before that.
func Schedule(ctx context.Context, base string, jobs []scenario.Job) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	failed := make([]error, len(jobs))
	var all sync.WaitGroup
	for i, j := range jobs {
		all.Go(func() { failed[i] = schedule(ctx, base, j) })
	}
	return func() error {
		cancel()
		all.Wait()
		return errors.Join(failed...)
	}
}

func schedule(ctx context.Context, base string, j scenario.Job) error {
	if !wait(ctx, j.At) {
		return nil
	}
	for {
		began := time.Now()
		if err := visit(ctx, http.DefaultClient, http.MethodPost, fmt.Sprintf("%s/runs?for=%s", base, j.For), ""); err != nil && ctx.Err() == nil {
			return fmt.Errorf("job: %w", err)
		}
		if j.Every == 0 || !wait(ctx, j.Every-time.Since(began)) {
			return nil
		}
	}
}
