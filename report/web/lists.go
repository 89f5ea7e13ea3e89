package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

// overview lists the targets, those with causes first to the eye by their pill.
type overview struct {
	Now             time.Time
	Targets         []targetLine
	Queued, Running int
}

type targetLine struct {
	Target
	NextSlot time.Time
	Last     *archive.Run // the newest run of any kind
	Report   *archive.Run // the newest with a report
	Current  []archive.Cause
}

func (p Pages) overview(r *http.Request) (string, any, error) {
	out := overview{Now: p.Now()}
	var err error
	if out.Queued, out.Running, err = p.Store.Depth(r.Context()); err != nil {
		return "", nil, err
	}
	for _, t := range p.Targets {
		line := targetLine{Target: t}
		if t.Next != nil {
			line.NextSlot = t.Next(out.Now)
		}
		runs, err := p.Store.Runs(r.Context(), archive.Query{Target: t.Name, Limit: listed})
		if err != nil {
			return "", nil, err
		}
		if len(runs) > 0 {
			line.Last = &runs[0]
		}
		if i := slices.IndexFunc(runs, func(r archive.Run) bool { return r.Reported }); i >= 0 {
			line.Report, line.Current = &runs[i], runs[i].Causes
		}
		out.Targets = append(out.Targets, line)
	}
	return "Targets", out, nil
}

// targetPage is one target: its trends and its runs.
type targetPage struct {
	Target
	Now      time.Time
	NextSlot time.Time
	Trends   []trend
	Judged   int // runs behind the trends
	From, To time.Time
	Runs     []runLine
	Older    string // slot that the runs before these lie before; "" for none
	Gone     bool   // not in the configuration any more
}

type runLine struct {
	archive.Run
	Change string // against the run that concluded something before it
}

func (p Pages) target(r *http.Request) (string, any, error) {
	out := targetPage{Target: Target{Name: r.PathValue("name")}, Now: p.Now()}
	i := slices.IndexFunc(p.Targets, func(t Target) bool { return t.Name == out.Name })
	if out.Gone = i < 0; !out.Gone {
		out.Target = p.Targets[i]
	}
	if out.Next != nil {
		out.NextSlot = out.Next(out.Now)
	}
	recent, err := p.Store.Runs(r.Context(), archive.Query{Target: out.Name, States: []archive.State{archive.Done, archive.Failed}, Limit: looked})
	if err != nil {
		return "", nil, err
	}
	before, _ := time.Parse(time.RFC3339, r.URL.Query().Get("before"))
	runs, err := p.Store.Runs(r.Context(), archive.Query{Target: out.Name, Before: before, Limit: listed + 1})
	if err != nil {
		return "", nil, err
	}
	if out.Gone && len(runs) == 0 && before.IsZero() {
		return "", nil, archive.ErrUnknown
	}
	if len(runs) > listed {
		runs = runs[:listed]
		out.Older = runs[listed-1].Slot.UTC().Format(time.RFC3339)
	}
	out.Runs = withChanges(runs)
	judged := slices.DeleteFunc(recent, func(r archive.Run) bool { return !r.Concluded() })
	slices.Reverse(judged)
	if out.Judged = len(judged); out.Judged > 0 {
		out.From, out.To = judged[0].Slot, judged[out.Judged-1].Slot
	}
	out.Trends = trendsOf(judged)
	return out.Name, out, nil
}

// withChanges counts against the run before, newest first. The oldest of the
// page has none to be compared with.
func withChanges(runs []archive.Run) []runLine {
	out := make([]runLine, len(runs))
	var before *archive.Run
	for i := len(runs) - 1; i >= 0; i-- {
		out[i].Run = runs[i]
		if !runs[i].Concluded() {
			continue
		}
		if before != nil {
			out[i].Change = changeText(changed(&runs[i], before))
		}
		before = &runs[i]
	}
	return out
}

// runPage is one run: what it was, what came of it, and what is new in it.
type runPage struct {
	archive.Run
	Now      time.Time
	Formats  []report.Output
	Previous *archive.Run // that concluded something
	Change   change
}

func (p Pages) run(r *http.Request) (string, any, error) {
	run, err := p.Store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return "", nil, err
	}
	out := runPage{Run: run, Now: p.Now()}
	if run.Reported {
		out.Formats = report.Formats
	}
	if run.Concluded() {
		runs, err := p.Store.Runs(r.Context(), archive.Query{Target: run.Target, Before: run.Slot, States: []archive.State{archive.Done}, Limit: listed})
		if err != nil {
			return "", nil, err
		}
		if i := slices.IndexFunc(runs, func(r archive.Run) bool { return r.Concluded() }); i >= 0 {
			out.Previous, out.Change = &runs[i], changed(&run, &runs[i])
		}
	}
	return run.Target + " " + stamp(run.Slot), out, nil
}
