package loadtest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A plain CSV is one request a row, for tools that culprit does not know. Its
// first line names the columns, in any order and case:
//
//	time      start of the request: Unix time in s, ms, us or ns, or RFC 3339
//	name      which request (or label, operation, url)
//	duration  in the unit of the column's name: duration_ms, duration_s, ... (or elapsed_, latency_)
//	ok        true or false (or success); or status, an HTTP code; or error, empty for none
//	module    part of the load (or scenario)
//
// Time and duration are needed, the rest is optional.

var plainColumns = map[string][]string{
	"time":   {"time", "timestamp", "start", "start_time"},
	"name":   {"name", "label", "operation", "url"},
	"ok":     {"ok", "success"},
	"status": {"status", "status_code", "code"},
	"error":  {"error"},
	"module": {"module", "scenario"},
}

// secondsPer are the units of a duration, longest name first.
var secondsPer = []struct {
	suffix string
	factor float64
}{{"_ms", 1e-3}, {"_us", 1e-6}, {"_ns", 1e-9}, {"_seconds", 1}, {"_s", 1}}

type plainCSV struct {
	samples *samples
	column  map[string]int
	factor  float64 // s in the unit of the durations
	read    int
}

func parsePlain(in io.Reader, from int64) (evidence.LoadRun, error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	names, err := r.Read()
	if err != nil {
		return evidence.LoadRun{}, fmt.Errorf("CSV: %w", err)
	}
	p := &plainCSV{samples: newSamples(from)}
	p.column, p.factor = plainHeader(names)
	for line := 2; ; line++ {
		record, err := r.Read()
		if err == nil {
			err = p.take(record)
		}
		switch {
		case err == nil:
		case err == io.EOF:
			return p.samples.run("csv"), nil
		case p.read == 0:
			return evidence.LoadRun{}, fmt.Errorf("CSV, line %d: %w", line, err)
		default:
			run := p.samples.run("csv")
			run.Notes = append(run.Notes, fmt.Sprintf("read up to line %d alone: %v", line-1, err))
			return run, nil
		}
	}
}

// plainHeader finds the columns; factor is 0 where none is a duration.
func plainHeader(names []string) (column map[string]int, factor float64) {
	column = map[string]int{}
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		for role, known := range plainColumns {
			if _, taken := column[role]; !taken && slices.Contains(known, name) {
				column[role] = i
			}
		}
		for _, unit := range secondsPer {
			base, ok := strings.CutSuffix(name, unit.suffix)
			if ok && slices.Contains([]string{"duration", "elapsed", "latency", "response_time"}, base) {
				column["duration"], factor = i, unit.factor
			}
		}
	}
	return column, factor
}

// isPlain tells a plain CSV by its first line.
func isPlain(line string) bool {
	names, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return false
	}
	column, factor := plainHeader(names)
	_, timed := column["time"]
	return timed && factor > 0
}

func (p *plainCSV) take(record []string) error {
	field := func(role string) string {
		if i, ok := p.column[role]; ok && i < len(record) {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	at, err := unixMilli(field("time"))
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(field("duration"), 64)
	if err != nil || !(v >= 0) || v*p.factor > 1e6 {
		return errors.New("the duration is not a number")
	}
	p.read++
	p.samples.add(sample{name: redactURL(field("name")), module: field("module"), at: at, elapsed: v * p.factor, failed: plainFailed(field)})
	return nil
}

func plainFailed(field func(string) string) bool {
	if ok, err := strconv.ParseBool(strings.ToLower(field("ok"))); err == nil {
		return !ok
	}
	status, err := strconv.Atoi(field("status"))
	return field("error") != "" || err == nil && (status < 100 || status >= 400)
}
