package postgres

import (
	"context"
	"errors"
	"sync"
	"time"
)

// sampler takes active-session history on a connection of its own.
type sampler struct {
	session *session
	caps    *capabilities
	every   time.Duration
	started time.Time
	cancel  context.CancelFunc
	done    chan struct{}
	once    sync.Once
	history *history // the goroutine's until done is closed
}

const (
	// A long run is sampled more slowly after slowAfter, to keep its cost and
	// its size bounded.
	slowAfter = 10 * time.Minute
	slowEvery = 500 * time.Millisecond

	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

// startSampler connects and samples until finish. A connection that is refused
// now is tried again, and counted. The context's values are kept, its end is
// not: the load outlives the call that began it.
func startSampler(ctx context.Context, s *session, hz float64, caps *capabilities) *sampler {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &sampler{
		session: s, caps: caps, every: time.Duration(float64(time.Second) / hz), started: time.Now(),
		cancel: cancel, done: make(chan struct{}), history: newHistory(),
	}
	if err := s.open(ctx); err != nil {
		p.history.lose(s.plain(err))
	}
	go p.run(ctx)
	return p
}

// finish ends the sampling and gives what was seen; nothing where it was never
// begun. It may be called twice.
func (p *sampler) finish() *history {
	if p == nil {
		return newHistory()
	}
	p.once.Do(func() {
		p.cancel()
		<-p.done
		p.session.close()
		p.history.requests, p.history.spent = p.session.requests, p.session.spent
		p.history.sessions = p.session.opened
		p.history.broken += p.session.lost
	})
	return p.history
}

func (p *sampler) run(ctx context.Context) {
	defer close(p.done)
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	retry, slow := retryFirst, false
	for {
		err := p.tick(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.history.lose(p.session.plain(err))
			wait(ctx, retry)
			retry = min(2*retry, retryMost)
		default:
			retry = retryFirst
		}
		if !slow && time.Since(p.started) > slowAfter && p.every < slowEvery {
			slow = true
			ticker.Reset(slowEvery)
			p.history.slowed = true
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tick takes one sample, and once a second what is dearer: the connections in
// use and, where somebody waits for a lock, who blocks whom; now and then, who
// holds back vacuum.
func (p *sampler) tick(ctx context.Context) error {
	at := time.Now()
	seen, err := rows(ctx, p.session, scanSighting, sightingSQL(p.caps))
	if err != nil {
		return p.give(err)
	}
	locked := p.history.add(at, seen)
	if at.Sub(p.history.lastSlow) < time.Second {
		return nil
	}
	p.history.lastSlow = at
	if err := p.connections(ctx, at); err != nil {
		return p.give(err)
	}
	if locked {
		if err := p.blocking(ctx, at); err != nil {
			return p.give(err)
		}
	}
	if at.Sub(p.history.lastHeld) < holdersEvery {
		return nil
	}
	p.history.lastHeld = at
	return p.give(p.holders(ctx, at))
}

// give closes a connection that failed otherwise than by the server's answer,
// so that the next tick opens a new one.
func (p *sampler) give(err error) error {
	if err != nil && code(err) == "" {
		p.session.close()
	}
	return err
}

// lose counts a failed tick under what it means.
func (h *history) lose(err error) {
	switch state := code(err); {
	case state == codeTooManyConnections:
		h.refused++
	case state == codeStartingUp, state == "57P01", state == "57P02", state == "":
		h.broken++
	default:
		h.failed++
	}
	var p *plainError
	if errors.As(err, &p) {
		h.lastError = p.text
	}
}
