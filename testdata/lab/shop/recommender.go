package shop

import (
	"context"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// newRecommender starts a batch that computes the related products of all
// products anew, over and over, working and resting by turns as a scheduled
// job does. Nobody calls it and it serves nothing but its metrics.
func newRecommender(ctx context.Context, p settings.Process, t *telemetry) (routes, func(), error) {
	db, err := openPool(ctx, p, t)
	if err != nil {
		return nil, nil, err
	}
	defer db.Close()
	all, err := loadFeatures(ctx, db)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var threads sync.WaitGroup
	for n := range p.Choices.Threads {
		threads.Go(func() { recommend(ctx, all, n*len(all)/p.Choices.Threads, p.Choices) })
	}
	return routes{}, func() { stop(); threads.Wait() }, nil
}

// recommend from one product on until the context ends. All threads work at
// the same times of the clock.
func recommend(ctx context.Context, all []features, from int, c settings.Choices) {
	turn := c.Work + c.Rest
	for n := from; ; n++ {
		if into := time.Duration(time.Now().UnixNano()) % turn; into >= c.Work && !pause(ctx, turn-into) || ctx.Err() != nil {
			return
		}
		rankByPass(all, all[n%len(all)].id)
	}
}
