package audits

import (
	"context"
	"fmt"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report/archive"
)

const (
	// longestSleep keeps an eye on a clock that is set while we wait.
	longestSleep = 20 * time.Second
	// again is how soon something is tried again that the store refused.
	again = 2 * time.Second
)

// follow queues the audits of one target as their times come.
func (s *Service) follow(ctx context.Context, t *Target) {
	last, ok := s.resume(ctx, t)
	for ok {
		next := t.Plan.Next(last)
		if next.IsZero() {
			s.Log.Warn("the schedule never comes again", "target", t.Name)
			return
		}
		s.metrics.next(t.Name, next)
		if !sleepUntil(ctx, t.Plan.due(t.Name, next)) {
			return
		}
		last, ok = s.reach(ctx, t, last)
	}
}

// resume finds up to when the schedule was kept. Of another plan nothing was
// missed: it begins now.
func (s *Service) resume(ctx context.Context, t *Target) (time.Time, bool) {
	now := time.Now()
	for {
		runs, err := s.Store.Runs(ctx, archive.Query{Target: t.Name, Trigger: archive.Schedule, Limit: 1})
		if s.heard("reading the last audit", err) == nil {
			if len(runs) > 0 && runs[0].Plan == t.Plan.String() && runs[0].Slot.Before(now) {
				return runs[0].Slot, true
			}
			return now, true
		}
		if !sleepUntil(ctx, time.Now().Add(again)) {
			return now, false
		}
	}
}

// reach records what became due since the last slot: the newest to be done,
// unless it is too late for that, those before it as missed. It tries until the
// store has taken everything, and gives the new last slot.
func (s *Service) reach(ctx context.Context, t *Target, last time.Time) (time.Time, bool) {
	for {
		now := time.Now()
		p := t.Plan.dueBetween(t.Name, last, now)
		if len(p.slots) == 0 {
			return last, sleepUntil(ctx, now.Add(time.Second)) // the clock was set back
		}
		if s.heard("recording an audit", s.record(ctx, t, p, now)) == nil {
			return p.slots[len(p.slots)-1], ctx.Err() == nil
		}
		if !sleepUntil(ctx, time.Now().Add(again)) {
			return last, false
		}
	}
}

// dueBetween are the slots whose time has come with their jitter, in order: a
// slot that waits holds up those after it.
func (p *Plan) dueBetween(target string, after, now time.Time) passed {
	out := p.between(after, now)
	for i, slot := range out.slots {
		if p.due(target, slot).After(now) {
			out.slots = out.slots[:i]
			break
		}
	}
	return out
}

func (s *Service) record(ctx context.Context, t *Target, p passed, now time.Time) error {
	if err := s.addEarlier(ctx, t, p, now); err != nil {
		return err
	}
	newest := len(p.slots) - 1
	for i, slot := range p.slots {
		r := s.planned(t, slot, now)
		if i < newest || now.Sub(t.Plan.due(t.Name, slot)) > t.Late {
			r.State, r.Ended = archive.Missed, r.Added
			r.Reason = fmt.Sprintf("nobody was there to begin it, or the history could not be reached; it was found out %s later", now.Sub(slot).Round(time.Second))
		}
		if err := s.add(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// addEarlier keeps one record for many slots that were missed long ago.
func (s *Service) addEarlier(ctx context.Context, t *Target, p passed, now time.Time) error {
	if p.earlier == 0 {
		return nil
	}
	r := s.planned(t, p.last, now)
	r.State, r.Ended = archive.Missed, r.Added
	word := ""
	if p.more {
		word = "at least "
	}
	r.Reason = fmt.Sprintf("%s%d audits from %s to this one: nobody was there to begin them", word, p.earlier, p.first.Format(time.RFC3339))
	return s.add(ctx, r)
}

func (s *Service) planned(t *Target, slot, now time.Time) archive.Run {
	r := archive.NewRun(t.Name, archive.Schedule, slot.UTC().Format(time.RFC3339), slot, evidence.Window{Start: slot.Add(-t.Window).UTC(), End: slot.UTC()})
	r.Plan, r.Added = t.Plan.String(), now.UTC()
	return r
}

func (s *Service) add(ctx context.Context, r archive.Run) error {
	stands, outcome, err := s.Store.Add(ctx, r, s.Admit)
	if err != nil {
		return err
	}
	if outcome == archive.Known {
		return nil // another replica was quicker, or we were before we stopped
	}
	switch stands.State {
	case archive.Queued:
		s.poke()
	default:
		s.Log.Warn("an audit will not be done", "run", stands.ID, "target", stands.Target, "state", stands.State, "reason", stands.Reason)
		s.metrics.ended(stands)
	}
	return nil
}

// sleepUntil gives false when the context ended first.
func sleepUntil(ctx context.Context, t time.Time) bool {
	for {
		left := time.Until(t)
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, longestSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
