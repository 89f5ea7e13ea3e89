package prometheus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// checkWindow is how far back Check looks for metrics.
	checkWindow = 10 * time.Minute
	// maxSkew of clocks: beyond it metrics and traces do not fit together. Half
	// a second is what the whole seconds of a Date header leave open.
	maxSkew = 1500 * time.Millisecond
)

// Check asks what could be seen now: the server, its clock, and for each class
// of bottleneck the exporter that shows it or what would.
func (c *Collector) Check(ctx context.Context) (collectors.Preflight, error) {
	defer c.client.http.CloseIdleConnections()
	now := c.now()
	r := c.newRun(evidence.Window{Start: now.Add(-checkWindow), End: now})
	if err := r.discover(ctx); err != nil {
		return collectors.Preflight{}, err
	}
	p := collectors.Preflight{Lines: []string{fmt.Sprintf("%s answers%s, %d metrics, read every %s",
		r.target(), versionText(r.build), len(r.have), promDuration(r.grid.Step))}}
	skew := time.Duration(r.skew.Load()) * time.Millisecond
	if skew.Abs() > maxSkew {
		r.gaps.add(evidence.Gap{Source: name, Kinds: r.catalogue.provides(),
			Reason: fmt.Sprintf("this clock and the server's differ by %s", skew.Round(time.Second)),
			Remedy: "synchronise the clocks, or give the window in the server's time"})
	}
	visible := r.visible()
	for _, cl := range r.catalogue.classes {
		p.Lines = append(p.Lines, cl.line(visible))
		r.unseenOf(cl, func(k evidence.Kind) bool { return len(visible[k]) > 0 })
	}
	p.Lines = append(p.Lines, r.notes.sorted()...)
	p.Gaps = r.gaps.list
	p.Source = evidence.Source{Name: name, Status: evidence.StatusOK, Target: r.target(), Version: r.build.label(),
		Protocol: "HTTP API v1", Requests: int(r.requests.Load())}
	if len(p.Gaps) > 0 {
		p.Source.Status = evidence.StatusPartial
	}
	return p, nil
}

func versionText(b build) string {
	if l := b.label(); l != "" {
		return " (version " + l + ")"
	}
	return ""
}

// visible lists, for each kind, the families that it can be read from.
func (r *run) visible() map[evidence.Kind][]string {
	out := map[evidence.Kind][]string{}
	for _, m := range r.found {
		if !slices.Contains(out[m.read.Kind], m.family.Name) {
			out[m.read.Kind] = append(out[m.read.Kind], m.family.Name)
		}
	}
	return out
}

// line says what of a class can be seen, through what.
func (cl *class) line(visible map[evidence.Kind][]string) string {
	var seen, through, missing []string
	for _, k := range cl.Kinds {
		families := visible[k.Kind]
		if len(families) == 0 {
			missing = append(missing, string(k.Kind))
			continue
		}
		seen = append(seen, string(k.Kind))
		for _, f := range families {
			if !slices.Contains(through, f) {
				through = append(through, f)
			}
		}
	}
	switch {
	case len(seen) == 0:
		return cl.Title + ": nothing to see"
	case len(missing) == 0:
		return fmt.Sprintf("%s: all of it, through %s", cl.Title, strings.Join(through, "; "))
	}
	return fmt.Sprintf("%s: %s, through %s; not %s", cl.Title, strings.Join(seen, ", "), strings.Join(through, "; "), strings.Join(missing, ", "))
}
