package audits

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/report/archive"
)

// contact is whether the store answers, and since when.
type contact struct {
	mu    sync.Mutex
	known bool
	err   error
	since time.Time
}

type turn int

const (
	same turn = iota
	lost
	found
)

// answers holds for what a store says that is there.
func answers(err error) bool {
	return err == nil || errors.Is(err, archive.ErrNone) || errors.Is(err, archive.ErrLost) || errors.Is(err, archive.ErrUnknown)
}

// note takes one answer in. That there is nothing to do, or that a run is
// another's, is an answer too.
func (c *contact) note(err error) turn {
	if errors.Is(err, context.Canceled) {
		return same
	}
	if answers(err) {
		err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was, before := c.known, c.err
	c.known, c.err = true, err
	switch {
	case !was:
		c.since = time.Now()
		if err != nil {
			return lost
		}
	case before == nil && err != nil:
		c.since = time.Now()
		return lost
	case before != nil && err == nil:
		c.since = time.Now()
		return found
	}
	return same
}

// trouble is the last error, or that nothing was heard yet.
func (c *contact) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return errors.New("starting")
	}
	return c.err
}

// steady is for how long every answer was good.
func (c *contact) steady() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || c.err != nil {
		return 0
	}
	return time.Since(c.since)
}
