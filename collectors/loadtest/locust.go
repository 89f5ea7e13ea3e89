package loadtest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Locust's --csv PREFIX writes PREFIX_stats.csv, a row for every request name
// and one "Aggregated", and PREFIX_stats_history.csv, which says when. Times
// are ms; percentiles are of classes that Locust rounds to two digits.
const (
	locustStats   = "_stats.csv"
	locustHistory = "_stats_history.csv"
	locustAll     = "Aggregated"
)

// maxRows bounds a file of Locust; a history has a row a name and second.
const maxRows = 5_000_000

// eachLocustRow hands over every row as a look-up by column name.
func eachLocustRow(in io.Reader, each func(field func(string) string) error) error {
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	column := map[string]int{}
	for line := 0; line < maxRows; line++ {
		record, err := r.Read()
		switch {
		case err == io.EOF && line > 0:
			return nil
		case err != nil:
			return fmt.Errorf("locust CSV, line %d: %w", line+1, err)
		case line == 0:
			for i, name := range record {
				column[strings.Clone(name)] = i
			}
			continue
		}
		err = each(func(name string) string {
			if i, ok := column[name]; ok && i < len(record) {
				return record[i]
			}
			return ""
		})
		if err != nil {
			return fmt.Errorf("locust CSV, line %d: %w", line+1, err)
		}
	}
	return fmt.Errorf("locust CSV: more than %d rows", maxRows)
}

func parseLocustStats(in io.Reader) (evidence.LoadRun, error) {
	run := evidence.LoadRun{Tool: "locust"}
	err := eachLocustRow(in, func(field func(string) string) error {
		s := evidence.LoadStat{Name: strings.TrimSpace(field("Type") + " " + field("Name"))}
		if field("Type") == "" && field("Name") == locustAll {
			s.Name = ""
		}
		for _, n := range []struct {
			to     *float64
			column string
			per    float64
		}{{&s.Count, "Request Count", 1}, {&s.Failed, "Failure Count", 1}, {&s.P50, "50%", 1000}, {&s.P95, "95%", 1000}, {&s.P99, "99%", 1000}, {&s.Max, "Max Response Time", 1000}} {
			text := field(n.column)
			if text == "" || text == "N/A" { // no request of that name yet
				continue
			}
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0) || v > 1e15 { // NaN is neither
				return fmt.Errorf("column %q is not a number", n.column)
			}
			*n.to = v / n.per
		}
		if s.Name == "" {
			run.Requests = append([]evidence.LoadStat{s}, run.Requests...)
		} else {
			run.Requests = append(run.Requests, s)
		}
		return nil
	})
	return run, err
}

// parseLocustHistory gives the time from the first to the last row, in Unix ms.
func parseLocustHistory(in io.Reader) (start, end int64, err error) {
	err = eachLocustRow(in, func(field func(string) string) error {
		t, err := strconv.ParseInt(field("Timestamp"), 10, 64)
		if err != nil {
			return errors.New("Timestamp is not in Unix seconds")
		}
		if start == 0 {
			start = t * 1000
		}
		end = t * 1000
		return nil
	})
	return start, end, err
}

// readLocust reads the statistics, and when they were from the history beside
// them, where there is one.
func readLocust(path string, in io.Reader) (evidence.LoadRun, error) {
	run, err := parseLocustStats(in)
	if err != nil {
		return run, err
	}
	base, ok := strings.CutSuffix(path, locustStats)
	if !ok {
		return run, nil
	}
	f, err := os.Open(base + locustHistory)
	if err != nil {
		return run, nil // it was not asked to write one: the caller says what that costs
	}
	defer f.Close()
	run.Start, run.End, err = parseLocustHistory(io.LimitReader(f, maxLogBytes))
	return run, err
}

// readLocustFor reads the statistics that belong to a history.
func readLocustFor(history string) (evidence.LoadRun, error) {
	base, ok := strings.CutSuffix(history, locustHistory)
	if !ok {
		return evidence.LoadRun{}, fmt.Errorf("a history of Locust is called PREFIX%s, beside PREFIX%s", locustHistory, locustStats)
	}
	f, err := os.Open(base + locustStats)
	if err != nil {
		return evidence.LoadRun{}, fmt.Errorf("the statistics beside the history: %w", err)
	}
	defer f.Close()
	return readLocust(base+locustStats, io.LimitReader(f, maxLogBytes))
}
