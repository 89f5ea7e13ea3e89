package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// windowFlags name the time that is looked at.
type windowFlags struct {
	start, end string
	since      time.Duration
	baseline   baselineFlag
}

func (w *windowFlags) register(f *pflag.FlagSet) {
	f.StringVar(&w.start, "start", "", "start of the window, RFC 3339 or Unix seconds")
	f.StringVar(&w.end, "end", "", "end of the window, RFC 3339 or Unix seconds (default now)")
	f.DurationVar(&w.since, "since", 0, "window from so long ago until now, such as 30m")
	w.baseline.register(f, "run.culprit of a healthy run, START/END inside the window,")
}

func (w *windowFlags) given() bool { return w.start != "" || w.end != "" || w.since != 0 }

// window settles what the flags say against the clock.
func (w *windowFlags) window(now time.Time) (evidence.Window, error) {
	var out evidence.Window
	var err error
	switch {
	case w.since < 0:
		return out, fmt.Errorf("--since %s is not in the past", w.since)
	case w.since > 0 && (w.start != "" || w.end != ""):
		return out, errors.New("--since and --start or --end exclude each other")
	case w.since > 0:
		out = evidence.Window{Start: now.Add(-w.since), End: now}
	case w.start == "":
		return out, errors.New("which window? give --since 30m, --start and --end, or a --load file that says when its run was")
	default:
		if out.Start, err = parseTime("--start", w.start); err != nil {
			return out, err
		}
		out.End = now
		if w.end != "" {
			if out.End, err = parseTime("--end", w.end); err != nil {
				return out, err
			}
		}
	}
	out.Start, out.End = out.Start.UTC(), out.End.UTC()
	return out, out.Validate(now)
}

// parseTime reads RFC 3339 or Unix seconds, with a fraction if there is one.
func parseTime(flag, s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), nil
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > 1e11 {
		return time.Time{}, fmt.Errorf("%s %q is neither RFC 3339 (2026-11-20T12:00:00Z) nor Unix seconds", flag, s)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), nil
}

// windowOfSpans is from the first start to the last end of at least one span,
// in whole seconds.
func windowOfSpans(spans []evidence.Span) evidence.Window {
	first, last := spans[0].Start, spans[0].End
	for i := range spans {
		first, last = min(first, spans[i].Start), max(last, spans[i].End)
	}
	return evidence.Window{
		Start: time.Unix(0, first).UTC().Truncate(time.Second),
		End:   time.Unix(0, last).UTC().Truncate(time.Second).Add(time.Second),
	}
}
