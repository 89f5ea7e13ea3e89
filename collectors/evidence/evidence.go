// Package evidence holds the nouns of culprit: what collectors bring home and
// analyzers read. Everything is plain data in UCUM base units (s, By, 1), with
// a stable order and encoding, so that the same bundle gives the same report.
//
// It never reads a clock, a network, a file or an environment variable, and it
// imports nothing of ours.
package evidence

import (
	"fmt"
	"time"
)

// Kind names one sort of evidence. Collectors provide kinds, analyzers need
// them; the spelling is public and stable. The list is in kinds.go.
type Kind string

// Entity says what a piece of evidence is about. An unset field means any.
type Entity struct {
	Service   string `json:"service"`   // logical service, as in service.name or the job label
	Instance  string `json:"instance"`  // pod, process or scrape target
	Operation string `json:"operation"` // "GET /orders/{id}": method and route, or the span's name
	Resource  string `json:"resource"`  // pool, container, table, index, statement, node
}

// IsZero reports whether nothing is set.
func (e Entity) IsZero() bool { return e == Entity{} }

// String is for people: the set fields, coarsest first.
func (e Entity) String() string {
	s := e.Service
	for _, part := range []string{e.Instance, e.Operation, e.Resource} {
		switch {
		case part == "":
		case s == "":
			s = part
		default:
			s += " " + part
		}
	}
	return s
}

// Compare orders entities field by field; it is the tie-break everywhere.
func (e Entity) Compare(o Entity) int {
	for _, p := range [][2]string{{e.Service, o.Service}, {e.Instance, o.Instance}, {e.Operation, o.Operation}, {e.Resource, o.Resource}} {
		if p[0] < p[1] {
			return -1
		}
		if p[0] > p[1] {
			return 1
		}
	}
	return 0
}

// Window is a half-open span of time, [Start, End).
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Duration is End - Start.
func (w Window) Duration() time.Duration { return w.End.Sub(w.Start) }

// Contains reports whether a Unix time in milliseconds lies in the window.
func (w Window) Contains(ms int64) bool {
	return ms >= w.Start.UnixMilli() && ms < w.End.UnixMilli()
}

// Validate refuses a window that cannot be judged. now is the caller's clock.
func (w Window) Validate(now time.Time) error {
	switch {
	case w.Start.IsZero() || w.End.IsZero():
		return fmt.Errorf("the window needs a start and an end")
	case w.Start.After(now):
		return fmt.Errorf("the window starts in the future: %s", w.Start.Format(time.RFC3339))
	case !w.Start.Before(w.End):
		return fmt.Errorf("the window is empty: start %s is not before end %s", w.Start.Format(time.RFC3339), w.End.Format(time.RFC3339))
	}
	return nil
}

// Ref points at the evidence behind a statement: a query that can be run
// again, or the id of a trace.
type Ref struct {
	Source string `json:"source"`          // prometheus, traces, postgres, load
	Query  string `json:"query,omitempty"` // PromQL, SQL or trace search
	Trace  string `json:"trace,omitempty"` // 32 hex digits
}

// Gap is what could not be seen, why, and what would make it visible.
type Gap struct {
	Source string `json:"source"`
	Kinds  []Kind `json:"kinds"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
}

// Status of a source over a collection.
type Status string

const (
	StatusOK      Status = "ok"
	StatusPartial Status = "partial"
	StatusFailed  Status = "failed"
	StatusAbsent  Status = "absent"
)

// Source is the account of one collector: where it looked, what it brought,
// what that cost. Target carries no secret.
type Source struct {
	Name     string   `json:"name"`              // prometheus, traces, postgres, load
	Status   Status   `json:"status"`            //
	Target   string   `json:"target,omitempty"`  // redacted address
	Version  string   `json:"version,omitempty"` // what the server says it is
	Protocol string   `json:"protocol,omitempty"`
	Requests int      `json:"requests,omitempty"`
	Items    int      `json:"items,omitempty"` // series, spans or rows kept
	Seconds  float64  `json:"seconds,omitempty"`
	Notes    []string `json:"notes,omitempty"` // bounds that bit, warnings of the server, cost on the server
	// Subset is true where only a later snapshot exists, so that totals speak
	// for more than the window.
	Subset bool `json:"subset,omitempty"`
}
