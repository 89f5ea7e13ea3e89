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

// chunkRows is how many events one statement inserts.
const chunkRows = 200

// ingest stores the events of one delivery, in chunks written side by side so
// that a large delivery does not take longer than a small one.
func (o *orders) ingest(w http.ResponseWriter, r *http.Request) {
	var events []event
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		fail(w, badRequest{fmt.Errorf("decode events: %w", err)})
		return
	}
	chunks := slices.Collect(slices.Chunk(events, chunkRows))
	failed := make([]error, len(chunks))
	var writers sync.WaitGroup
	for i, chunk := range chunks {
		writers.Go(func() { failed[i] = o.insertEvents(r.Context(), chunk) })
	}
	writers.Wait()
	answer(w, map[string]int{"stored": len(events)}, errors.Join(failed...))
}

const insertEventsSQL = `INSERT INTO events (kind, subject_id, value)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[])`

func (o *orders) insertEvents(ctx context.Context, events []event) error {
	kinds, subjects, values := make([]string, len(events)), make([]int64, len(events)), make([]float64, len(events))
	for i, e := range events {
		kinds[i], subjects[i], values[i] = e.Kind, e.Subject, e.Value
	}
	if _, err := o.db.Exec(ctx, insertEventsSQL, kinds, subjects, values); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	return nil
}
