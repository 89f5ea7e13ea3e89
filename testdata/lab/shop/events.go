package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// event is one row that a device, a page or a job reports.
type event struct {
	Kind    string  `json:"kind"`
	Subject int64   `json:"subject"`
	Value   float64 `json:"value"`
}

// ingest stores the events of one delivery: by one statement, or in shares
// written side by side, as is done in the hope that it takes less time.
func (o *orders) ingest(w http.ResponseWriter, r *http.Request) {
	var events []event
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		fail(w, badRequest{fmt.Errorf("decode events: %w", err)})
		return
	}
	share := max(1, (len(events)+o.choices.Writers-1)/o.choices.Writers)
	shares := slices.Collect(slices.Chunk(events, share))
	failed := make([]error, len(shares))
	var writers sync.WaitGroup
	for i, share := range shares {
		writers.Go(func() { failed[i] = o.insertEvents(r.Context(), share) })
	}
	writers.Wait()
	answer(w, map[string]int{"stored": len(events)}, errors.Join(failed...))
}

const insertEventsSQL = `INSERT INTO events (kind, subject_id, value)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[])`

// countEventsSQL takes its rows in the order of their keys, so that deliveries
// at the same time wait for each other and never in a circle.
const countEventsSQL = `INSERT INTO event_counts (subject_id, events)
SELECT subject, count(*) FROM unnest($1::bigint[]) subject GROUP BY subject ORDER BY subject
ON CONFLICT (subject_id) DO UPDATE SET events = event_counts.events + excluded.events`

func (o *orders) insertEvents(ctx context.Context, events []event) error {
	kinds, subjects, values := make([]string, len(events)), make([]int64, len(events)), make([]float64, len(events))
	for i, e := range events {
		kinds[i], subjects[i], values[i] = e.Kind, e.Subject, e.Value
	}
	if _, err := o.db.Exec(ctx, insertEventsSQL, kinds, subjects, values); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	if !o.choices.EventCounts {
		return nil
	}
	if _, err := o.db.Exec(ctx, countEventsSQL, subjects); err != nil {
		return fmt.Errorf("count events: %w", err)
	}
	return nil
}
