package audits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

const (
	// lookEvery is how soon a run is seen that another replica queued.
	lookEvery = 2 * time.Second
	// sinkTime is what one sink gets for one report.
	sinkTime = 30 * time.Second
	// lastWords is what the store gets after the grace is over.
	lastWords = 5 * time.Second
)

// work takes runs from the queue until the context ends; what it has begun goes
// on until hard ends.
func (s *Service) work(ctx, hard context.Context) {
	for ctx.Err() == nil {
		r, err := s.Store.Take(context.WithoutCancel(ctx), s.owner)
		if s.heard("looking for work", err) != nil {
			s.idle(ctx)
			continue
		}
		s.do(hard, r)
	}
}

func (s *Service) idle(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-timer.C:
	}
}

// do sees one run through, whatever happens to it.
func (s *Service) do(hard context.Context, r archive.Run) {
	s.hold(r.Key, true)
	defer s.hold(r.Key, false)
	s.Log.Info("begun", "run", r.ID, "target", r.Target, "trigger", r.Trigger, "attempt", r.Attempt)
	made, err := s.audit(hard, r)
	if hard.Err() != nil {
		s.giveBack(r)
		return
	}
	r.Ended = time.Now().UTC()
	r.State, r.Reason = archive.Done, ""
	if err != nil {
		r.State, r.Reason = archive.Failed, oneLine(err.Error(), maxReason)
	}
	text, err := encode(made)
	if err != nil {
		r.State, r.Reason = archive.Failed, oneLine(err.Error(), maxReason)
	}
	if text != nil {
		r.Summarize(made)
	}
	if !s.finish(hard, r, text) {
		return
	}
	s.Log.Info("ended", "run", r.ID, "target", r.Target, "state", r.State, "status", r.Status, "causes", len(r.Causes), "seconds", r.Ended.Sub(r.Began).Seconds(), "reason", r.Reason)
	s.metrics.ended(r)
	if made != nil && text != nil {
		s.announce(hard, r, made)
	}
	// An audit needs a lot for a short time: give it back to the machine.
	debug.FreeOSMemory()
}

func (s *Service) hold(key string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.running[key] = true
		return
	}
	delete(s.running, key)
}

// audit does the work within its time. A panic is an error of this run alone.
func (s *Service) audit(ctx context.Context, r archive.Run) (made *report.Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("internal error in an audit, please report it", "run", r.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			made, err = nil, fmt.Errorf("internal error, please report it: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.MaxTime)
	defer cancel()
	for i := range s.Targets {
		if t := &s.Targets[i]; t.Name == r.Target {
			return t.Audit(ctx, r)
		}
	}
	return nil, fmt.Errorf("no target is called %s in the configuration any more", r.Target)
}

func encode(made *report.Report) ([]byte, error) {
	if made == nil {
		return nil, nil
	}
	format, _ := report.FormatNamed("json")
	var buf bytes.Buffer
	if err := format.Write(&buf, made); err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	return buf.Bytes(), nil
}

// finish records the end, and goes on trying while the store is away. It holds
// when this process's account is the one that stands.
func (s *Service) finish(hard context.Context, r archive.Run, text []byte) bool {
	for {
		err := s.heard("recording the end of an audit", s.Store.Finish(context.WithoutCancel(hard), r, text))
		switch {
		case err == nil:
			return true
		case errors.Is(err, archive.ErrLost):
			return s.stood(r)
		}
		if !sleepUntil(hard, time.Now().Add(again)) {
			s.Log.Error("stopped before the end of an audit could be recorded; it will be done again", "run", r.ID, "target", r.Target)
			return false
		}
	}
}

// stood asks whether an earlier try had got through, its answer lost.
func (s *Service) stood(r archive.Run) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	there, err := s.Store.Get(ctx, r.ID)
	if err == nil && there.Owner == r.Owner && there.Attempt == r.Attempt && there.State == r.State {
		return true
	}
	s.Log.Warn("another process had taken the audit over; this account of it is dropped", "run", r.ID, "target", r.Target)
	return false
}

func (s *Service) giveBack(r archive.Run) {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	err := s.Store.Release(ctx, r)
	_ = s.heard("putting an audit back", err)
	s.Log.Warn("stopped in the middle of an audit; it is queued again", "run", r.ID, "target", r.Target, "error", err)
}

// announce tells the sinks, one after the other.
func (s *Service) announce(ctx context.Context, r archive.Run, made *report.Report) {
	if len(s.Sinks) == 0 {
		return
	}
	a := archive.Announcement{Run: r, Report: made}
	if s.Address != nil {
		a.URL = s.Address(r)
	}
	var err error
	if a.PreviousRun, a.Previous, err = s.previous(ctx, r); err != nil {
		s.Log.Warn("the report before this one cannot be read", "run", r.ID, "error", err)
	}
	for _, sink := range s.Sinks {
		if err := s.announceTo(ctx, sink, a); err != nil {
			s.metrics.sinkErrors.WithLabelValues(sink.Name()).Inc()
			s.Log.Error("a report could not be announced", "sink", sink.Name(), "run", r.ID, "error", err)
		}
	}
}

func (s *Service) announceTo(ctx context.Context, sink archive.Sink, a archive.Announcement) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error, please report it: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, sinkTime)
	defer cancel()
	return sink.Announce(ctx, a)
}

// previous finds the newest report of the target before this run that concluded
// something.
func (s *Service) previous(ctx context.Context, r archive.Run) (*archive.Run, *report.Report, error) {
	runs, err := s.Store.Runs(ctx, archive.Query{Target: r.Target, Before: r.Slot, States: []archive.State{archive.Done}})
	if err != nil {
		return nil, nil, err
	}
	for i := range runs {
		if !runs[i].Concluded() {
			continue
		}
		text, err := s.Store.Report(ctx, runs[i].ID)
		if err != nil {
			return nil, nil, err
		}
		was, err := report.Read(bytes.NewReader(text))
		return &runs[i], was, err
	}
	return nil, nil, nil
}
