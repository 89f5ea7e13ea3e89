package web

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

// change is what one run has that the one before had not, and the reverse.
type change struct{ New, Gone, Same []archive.Cause }

func changed(now, before *archive.Run) (c change) {
	for _, x := range now.Causes {
		if has(before, x.Fingerprint) {
			c.Same = append(c.Same, x)
		} else {
			c.New = append(c.New, x)
		}
	}
	for _, x := range before.Causes {
		if !has(now, x.Fingerprint) {
			c.Gone = append(c.Gone, x)
		}
	}
	return c
}

func has(r *archive.Run, fingerprint string) bool {
	return slices.ContainsFunc(r.Causes, func(c archive.Cause) bool { return c.Fingerprint == fingerprint })
}

func changeText(c change) string {
	var parts []string
	if n := len(c.New); n > 0 {
		parts = append(parts, fmt.Sprintf("%d new", n))
	}
	if n := len(c.Gone); n > 0 {
		parts = append(parts, fmt.Sprintf("%d gone", n))
	}
	return strings.Join(parts, ", ")
}

// trend is one cause over the runs that concluded something.
type trend struct {
	Cause       archive.Cause // as it was seen last
	State       string        // new, ongoing, back, gone
	First, Last archive.Run   // the runs that saw it first and last
	Seen, Of    int           // Of: the runs since it was first seen
	Most        float64       // s, the largest saving
	Picture     picture
}

// picture is a strip of dots in the units of its viewBox: a run each, across
// by time, up by what the fix would have saved. A run without the cause is a
// short stroke at the foot.
type picture struct {
	Dots    []dot
	Strokes []string
	Line    string // points of the polyline; gaps are at 0
	Text    string
}

type dot struct{ X, Y, Title string }

// maxTrends are shown; the rest is named by number.
const maxTrends = 40

// trendsOf reads runs, oldest first. What is there now comes first, the
// dearest before the cheaper.
func trendsOf(runs []archive.Run) []trend {
	byPrint := map[string]*trend{}
	var all []*trend
	for i, r := range runs {
		for _, c := range r.Causes {
			t := byPrint[c.Fingerprint]
			if t == nil {
				t = &trend{First: r, Of: len(runs) - i}
				byPrint[c.Fingerprint] = t
				all = append(all, t)
			}
			if t.Last.ID != r.ID {
				t.Seen++
			}
			t.Cause, t.Last, t.Most = c, r, max(t.Most, c.Saved)
		}
	}
	out := make([]trend, 0, len(all))
	for _, t := range all {
		t.State = stateOf(t, runs)
		t.Picture = draw(t, runs)
		out = append(out, *t)
	}
	slices.SortStableFunc(out, func(x, y trend) int {
		gone := func(t trend) int {
			if t.State == "gone" {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(gone(x), gone(y)), y.Last.Slot.Compare(x.Last.Slot), cmp.Compare(y.Cause.Saved, x.Cause.Saved), cmp.Compare(x.Cause.Fingerprint, y.Cause.Fingerprint))
	})
	return out[:min(len(out), maxTrends)]
}

func stateOf(t *trend, runs []archive.Run) string {
	last := len(runs) - 1
	switch {
	case t.Last.ID != runs[last].ID:
		return "gone"
	case last == 0:
		return "seen once"
	case t.First.ID == runs[last].ID:
		return "new"
	case !has(&runs[last-1], t.Cause.Fingerprint):
		return "back"
	}
	return "ongoing"
}

const (
	pictureWidth  = 320.0
	pictureHeight = 48.0
	margin        = 4.0
)

func draw(t *trend, runs []archive.Run) (p picture) {
	from, to := runs[0].Slot, runs[len(runs)-1].Slot
	var line []string
	for i := range runs {
		x := across(runs[i].Slot, from, to)
		k := slices.IndexFunc(runs[i].Causes, func(c archive.Cause) bool { return c.Fingerprint == t.Cause.Fingerprint })
		if k < 0 {
			p.Strokes = append(p.Strokes, number(x))
			line = append(line, number(x)+","+number(pictureHeight-margin))
			continue
		}
		c := runs[i].Causes[k]
		y := pictureHeight - margin
		if t.Most > 0 {
			y -= c.Saved / t.Most * (pictureHeight - 2*margin)
		}
		p.Dots = append(p.Dots, dot{number(x), number(y), stamp(runs[i].Slot) + ": " + savedText(c)})
		line = append(line, number(x)+","+number(y))
	}
	p.Line = strings.Join(line, " ")
	p.Text = fmt.Sprintf("seen in %d of %d runs from %s to %s", t.Seen, len(runs), stamp(from), stamp(to))
	if t.Most > 0 {
		p.Text += ", at most " + report.Seconds(t.Most)
	}
	return p
}

func across(t, from, to time.Time) float64 {
	if !from.Before(to) {
		return pictureWidth / 2
	}
	return margin + float64(t.Sub(from))/float64(to.Sub(from))*(pictureWidth-2*margin)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
