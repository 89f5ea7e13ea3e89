package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func (d *directory) Add(_ context.Context, r Run, a Admission) (Run, Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if there, ok := d.runs[r.Key]; ok {
		stands, err := d.whole(*there)
		if err != nil {
			stands = *there
		}
		return stands, Known, nil
	}
	o := a.decide(&r, d.facts(r))
	if o == Cooling || o == Full {
		return r, o, nil
	}
	return r, o, d.write(r)
}

func (d *directory) facts(of Run) (f facts) {
	for _, r := range d.runs {
		if r.State == Queued {
			f.queued++
		}
		if r.Target != of.Target {
			continue
		}
		if r.Trigger == Schedule && r.State.Open() {
			f.open = r
		}
		if of.Group != "" && r.Group == of.Group && r.Added.After(f.group) {
			f.group = r.Added
		}
	}
	return f
}

func (d *directory) Take(_ context.Context, owner string) (Run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	busy := map[string]bool{}
	for _, r := range d.runs {
		if r.State == Running {
			busy[r.Target] = true
		}
	}
	var first *Run
	for _, r := range d.runs {
		if r.State == Queued && !busy[r.Target] && (first == nil || sooner(r, first)) {
			first = r
		}
	}
	if first == nil {
		return Run{}, ErrNone
	}
	r := *first
	r.State, r.Owner, r.Attempt, r.Began = Running, owner, r.Attempt+1, time.Now().UTC()
	return r, d.write(r)
}

func sooner(x, y *Run) bool {
	return cmp.Or(x.Added.Compare(y.Added), cmp.Compare(x.Key, y.Key)) < 0
}

// Reap finds nobody: what the process before us had was taken from it when the
// directory was opened.
func (d *directory) Reap(context.Context, time.Duration) ([]Run, error) { return nil, nil }

func (d *directory) Release(_ context.Context, r Run) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.has(r) {
		return ErrLost
	}
	return d.write(released(r))
}

// has holds while the run is this owner's.
func (d *directory) has(r Run) bool {
	there, ok := d.runs[r.Key]
	return ok && there.State == Running && there.Owner == r.Owner && there.Attempt == r.Attempt
}

func (d *directory) Finish(_ context.Context, r Run, report []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.has(r) {
		return ErrLost
	}
	return d.writeBoth(r, report)
}

// writeBoth writes the report first: a record never promises what is not there.
func (d *directory) writeBoth(r Run, report []byte) error {
	if report != nil {
		packed, err := pack(report)
		if err != nil {
			return err
		}
		if err := writeWhole(d.reportPath(r), packed); err != nil {
			return err
		}
	}
	return d.write(r)
}

func (d *directory) Put(_ context.Context, r Run, report []byte) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.runs[r.Key]; ok {
		return false, nil
	}
	return true, d.writeBoth(r, report)
}

func (d *directory) Runs(_ context.Context, q Query) ([]Run, error) {
	out := make([]Run, 0)
	for _, held := range d.selected(q) {
		if r, err := d.whole(*held); err == nil {
			out = append(out, r)
		}
	}
	return out, nil
}

// selected are the runs of a query as they are held. What is behind the pointers
// is never changed.
func (d *directory) selected(q Query) []*Run {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []*Run
	for _, r := range d.runs {
		if q.selects(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, latestFirst)
	return found[:min(len(found), cmp.Or(q.Limit, defaultLimit))]
}

func (q Query) selects(r *Run) bool {
	return (q.Target == "" || r.Target == q.Target) && (q.Trigger == "" || r.Trigger == q.Trigger) &&
		(q.Before.IsZero() || r.Slot.Before(q.Before)) && (len(q.States) == 0 || slices.Contains(q.States, r.State))
}

func latestFirst(x, y *Run) int { return cmp.Or(y.Slot.Compare(x.Slot), cmp.Compare(x.Key, y.Key)) }

func (d *directory) Get(_ context.Context, id string) (Run, error) {
	held, ok := d.held(id)
	if !ok {
		return Run{}, ErrUnknown
	}
	return d.whole(held)
}

func (d *directory) held(id string) (Run, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.ids[id]
	if !ok {
		return Run{}, false
	}
	return *r, true
}

func (d *directory) Report(_ context.Context, id string) ([]byte, error) {
	r, ok := d.held(id)
	if !ok || !r.Reported {
		return nil, ErrUnknown
	}
	packed, err := os.ReadFile(d.reportPath(r))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("history: reading a report: %w", err)
	}
	return unpack(packed)
}

func (d *directory) Depth(context.Context) (queued, running int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.runs {
		switch r.State {
		case Queued:
			queued++
		case Running:
			running++
		}
	}
	return queued, running, nil
}

func (d *directory) Prune(_ context.Context, k Keep) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	byTarget := map[string][]*Run{}
	for _, r := range d.runs {
		byTarget[r.Target] = append(byTarget[r.Target], r)
	}
	removed := 0
	for _, runs := range byTarget {
		slices.SortFunc(runs, latestFirst)
		newest := map[Trigger]bool{}
		for i, r := range runs {
			old := k.Age > 0 && time.Since(r.Slot) > k.Age || k.Runs > 0 && i >= k.Runs
			if !newest[r.Trigger] || !old || r.State.Open() {
				newest[r.Trigger] = true
				continue
			}
			if err := d.remove(*r); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// remove takes the record away first: what is left of a cut-off removal is a
// report that nobody names.
func (d *directory) remove(r Run) error {
	for _, path := range []string{d.recordPath(r), d.reportPath(r)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("history: removing %s: %w", filepath.Base(path), err)
		}
	}
	delete(d.runs, r.Key)
	delete(d.ids, r.ID)
	return nil
}
