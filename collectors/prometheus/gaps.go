package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// gapList joins gaps of the same reason.
type gapList struct{ list []evidence.Gap }

func (l *gapList) add(g evidence.Gap) {
	for i := range l.list {
		if l.list[i].Reason == g.Reason {
			kinds := append(l.list[i].Kinds, g.Kinds...)
			slices.Sort(kinds)
			l.list[i].Kinds = slices.Compact(kinds)
			return
		}
	}
	l.list = append(l.list, g)
}

// noteList keeps each note once; queries end in any order, so it is sorted.
type noteList struct{ seen map[string]bool }

// maxNotes of one collection: a server may warn of every query.
const maxNotes = 20

func (l *noteList) add(text string) {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[text] = true
}

func (l *noteList) sorted() []string {
	out := make([]string, 0, len(l.seen))
	for n := range l.seen {
		out = append(out, n)
	}
	slices.Sort(out)
	if len(out) > maxNotes {
		out = append(out[:maxNotes], fmt.Sprintf("and %d further notes", len(out)-maxNotes))
	}
	return out
}

// failureGap says why a kind could not be read and what would help.
func failureGap(k evidence.Kind, err error) evidence.Gap {
	g := evidence.Gap{Source: name, Kinds: []evidence.Kind{k}, Reason: err.Error(), Remedy: "look at the server's log and run again"}
	var refused *statusError
	switch {
	case errors.Is(err, errBudget):
		g.Remedy = "allow more queries"
	case errors.Is(err, errNoBuckets):
		g.Remedy = "export classic buckets with le, or native histograms"
	case errors.Is(err, context.Canceled):
		g.Reason, g.Remedy = "the collection was interrupted", "let it finish"
	case errors.Is(err, errTooSlow), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errNoAnswer):
		g.Remedy = "choose a shorter window or a longer timeout"
	case errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity:
		g.Remedy = "choose a shorter window, or raise the server's limits on queries"
	}
	return g
}

// partial adds a gap where a warning says that a part of the data is missing,
// with an answer of 200: Thanos, when a store does not answer, and a cluster of
// VictoriaMetrics. What PromQL itself warns of begins with its name. Too little
// data reads like little load or few errors, so it is no note.
func (r *run) partial(warning string, kinds []evidence.Kind) bool {
	if strings.HasPrefix(warning, "PromQL ") || len(kinds) == 0 {
		return false
	}
	reason := "the server answered in part: " + oneLine(warning, 200)
	if warning == "isPartial" {
		reason = "the server answered in part: some of its storage nodes did not answer"
	}
	if len(r.gaps.list) < maxNotes {
		r.gaps.add(evidence.Gap{Source: name, Kinds: kinds, Reason: reason,
			Remedy: "bring back the store that did not answer and run again; partial_response=false in the URL makes Thanos refuse instead"})
	}
	return true
}

// isBadData reports whether the server did not like the parameters.
func isBadData(err error) bool {
	var refused *statusError
	return errors.As(err, &refused) && refused.Status == http.StatusBadRequest
}

// unseen adds a gap for each class that matters and was not found.
func (r *run) unseen(b *evidence.Bundle) {
	if len(r.have) == 0 {
		r.gaps.add(evidence.Gap{Source: name, Kinds: r.catalogue.provides(), Reason: "the server has no metric in the window",
			Remedy: "check the window's times, and whether this server scrapes the system and still keeps that time"})
		return
	}
	for _, cl := range r.catalogue.classes {
		r.unseenOf(cl, b.Has)
	}
}

// unseenOf adds the gaps of a class. What the catalogue says to matter only
// beside something else, or is shown by what is at work and has nothing to
// show, is a note: it does not apply, which is not the same as healthy.
func (r *run) unseenOf(cl *class, has func(evidence.Kind) bool) {
	for _, u := range cl.Unseen {
		switch {
		case slices.ContainsFunc(u.Kinds, has):
		case slices.ContainsFunc(u.Proof, func(n string) bool { return r.have[n] }):
			r.notes.add(cl.Title + ": does not apply: " + u.Absent)
		case len(u.Given) > 0 && !slices.ContainsFunc(u.Given, has):
		default:
			r.gaps.add(evidence.Gap{Source: name, Kinds: u.Kinds, Reason: u.Reason, Remedy: u.Remedy})
		}
	}
}

const (
	// mostHoles is how many targets are named that did not answer scrapes.
	mostHoles = 5
	// leastHole is the share of the window that a target must be silent for.
	leastHole = 0.05
)

// holes adds a gap for each target that did not answer some of its scrapes:
// what it counted then is missing, and often just when it was overloaded.
func (r *run) holes(b *evidence.Bundle) {
	n := 0
	for i := range b.Series {
		s := &b.Series[i]
		silent := silence(s)
		if s.Kind != evidence.Up || len(silent) == 0 || float64(len(silent)) < leastHole*float64(len(s.Times)) {
			continue
		}
		if n++; n > mostHoles {
			continue
		}
		target := strings.TrimSpace(s.Entity.Service + " " + s.Entity.Instance)
		r.gaps.add(evidence.Gap{Source: name, Kinds: []evidence.Kind{evidence.Up},
			Reason: fmt.Sprintf("%s did not answer %d %% of its scrapes, the first at %s: what it measured then is missing",
				target, 100*len(silent)/len(s.Times), time.UnixMilli(silent[0]).UTC().Format(time.TimeOnly)),
			Remedy: "see its last error on the server's page of targets; where it was too busy to answer in time, serve /metrics apart from the load, or raise scrape_timeout"})
	}
	if n > mostHoles {
		r.notes.add(fmt.Sprintf("%d further targets did not answer some of their scrapes", n-mostHoles))
	}
}

// silence are the times at which a target could not be scraped.
func silence(up *evidence.Series) []int64 {
	var out []int64
	for i, v := range up.Values {
		if v == 0 {
			out = append(out, up.Times[i])
		}
	}
	return out
}
