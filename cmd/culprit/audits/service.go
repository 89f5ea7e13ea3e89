package audits

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/report/archive"
)

// Config of a service. Zero durations and counts get the defaults below.
type Config struct {
	Store   archive.Store
	Targets []Target
	Sinks   []archive.Sink
	Log     *slog.Logger
	// Address gives the address of a run's report for people, "" for none.
	Address func(archive.Run) string

	Workers  int               // audits at once
	MaxTime  time.Duration     // of one audit; what has arrived by then is reported
	Grace    time.Duration     // what a running audit gets when the service stops
	Beat     time.Duration     // between two signs of life to the other replicas
	Keep     archive.Keep      // how much history
	Admit    archive.Admission // how much of alerts is taken
	MaxAlert time.Duration     // longest window of an alert
}

const (
	defaultMaxTime  = 10 * time.Minute
	defaultGrace    = 30 * time.Second
	defaultBeat     = 10 * time.Second
	defaultMaxAlert = 6 * time.Hour
	defaultQueue    = 64
	defaultCooldown = 15 * time.Minute
	// silentBeats without a sign of life make a process a dead one.
	silentBeats = 6
	pruneEvery  = time.Hour
)

// Service is one replica.
type Service struct {
	Config
	owner   string
	metrics *metrics
	contact contact
	wake    chan struct{} // something was queued here
	hook    chan struct{} // a place for each post that is read at once
	turned  refusals

	mu      sync.Mutex
	running map[string]bool // keys that this process is at work on
	ending  bool
}

// New makes a service that does nothing until Run.
func New(c Config) *Service {
	c.Workers = cmp.Or(c.Workers, 1)
	c.MaxTime, c.Grace, c.Beat = cmp.Or(c.MaxTime, defaultMaxTime), cmp.Or(c.Grace, defaultGrace), cmp.Or(c.Beat, defaultBeat)
	c.MaxAlert = cmp.Or(c.MaxAlert, defaultMaxAlert)
	c.Admit.Queue, c.Admit.Cooldown = cmp.Or(c.Admit.Queue, defaultQueue), cmp.Or(c.Admit.Cooldown, defaultCooldown)
	s := &Service{Config: c, owner: ownName(), metrics: newMetrics(c.Targets, c.Sinks), running: map[string]bool{},
		wake: make(chan struct{}, 1), hook: make(chan struct{}, maxReading)}
	return s
}

// ownName tells this process from every other, and from itself after a restart.
func ownName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}

// Run works until the context ends, then lets running audits finish within the
// grace and puts back what did not.
func (s *Service) Run(ctx context.Context) {
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var keeper, others sync.WaitGroup
	stopKeeper := make(chan struct{})
	keeper.Go(func() { s.keep(stopKeeper) })
	for i := range s.Targets {
		if t := &s.Targets[i]; t.Plan != nil {
			others.Go(func() { s.follow(ctx, t) })
		}
	}
	for range s.Workers {
		others.Go(func() { s.work(ctx, hard) })
	}
	<-ctx.Done()
	s.stop()
	late := time.AfterFunc(s.Grace, kill)
	defer late.Stop()
	others.Wait()
	close(stopKeeper)
	keeper.Wait()
}

func (s *Service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.Log.Info("stopping", "running", len(s.running), "grace", s.Grace)
}

// Ready says why no work can be taken, nil when it can. It asks nobody: what
// the sources do is no matter of the service's own readiness.
func (s *Service) Ready() error {
	s.mu.Lock()
	ending := s.ending
	s.mu.Unlock()
	if ending {
		return errors.New("stopping")
	}
	return s.contact.trouble()
}

// keep gives signs of life, takes over from the dead, and tidies, until the
// last audit is done.
func (s *Service) keep(stop <-chan struct{}) {
	beat := time.NewTicker(s.Beat)
	defer beat.Stop()
	var pruned time.Time
	for {
		s.beat()
		if time.Since(pruned) >= pruneEvery && s.prune() {
			pruned = time.Now()
		}
		select {
		case <-stop:
			return
		case <-beat.C:
		}
	}
}

func (s *Service) beat() {
	ctx := context.Background()
	if s.heard("giving a sign of life", s.Store.Beat(ctx, s.owner, s.busyWith())) != nil {
		return
	}
	// After an outage of the store everybody was silent: let them speak first.
	silent := silentBeats * s.Beat
	if s.contact.steady() >= silent {
		s.reap(ctx, silent)
	}
	queued, running, err := s.Store.Depth(ctx)
	if s.heard("counting the queue", err) == nil {
		s.metrics.depth(queued, running)
	}
}

func (s *Service) reap(ctx context.Context, silent time.Duration) {
	reaped, err := s.Store.Reap(ctx, silent)
	_ = s.heard("looking for abandoned runs", err)
	for _, r := range reaped {
		s.Log.Warn("took a run away from a process that is gone", "run", r.ID, "target", r.Target, "state", r.State, "reason", r.Reason)
		s.poke()
	}
}

func (s *Service) prune() bool {
	n, err := s.Store.Prune(context.Background(), s.Config.Keep)
	if n > 0 {
		s.Log.Info("removed old runs", "runs", n)
	}
	return s.heard("removing old runs", err) == nil
}

func (s *Service) busyWith() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.running))
	for k := range s.running {
		keys = append(keys, k)
	}
	return keys
}

// poke wakes a worker of this process.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// heard notes what the store answered, and says so when that changes.
func (s *Service) heard(doing string, err error) error {
	if !answers(err) && !errors.Is(err, context.Canceled) {
		s.metrics.storeErrors.Inc()
	}
	switch s.contact.note(err) {
	case lost:
		s.Log.Error("the history cannot be reached; trying on", "doing", doing, "error", err)
	case found:
		s.Log.Info("the history is reached again")
	}
	return err
}
