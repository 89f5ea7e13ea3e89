package loadtest

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// k6 writes every sample of every metric while it runs, in one of three shapes:
// --out json=FILE, a JSON object a line; --out csv=FILE; and the line protocol
// of InfluxDB. A request's point is stamped when it ended, its value is in ms.

// point is one sample of one metric.
type point struct {
	metric string
	value  float64
	at     int64 // Unix ms
	tag    func(string) string
}

// stream gathers points into an account of the run.
type stream struct {
	samples *samples
	dropped float64
	read    int
}

func newStream(from int64) *stream { return &stream{samples: newSamples(from)} }

func (s *stream) take(p point) {
	s.read++
	switch p.metric {
	case "http_req_duration", "grpc_req_duration":
		elapsed := p.value / 1000
		if !(elapsed >= 0) || elapsed > 1e6 {
			return // no time: NaN, or less than nothing
		}
		s.samples.add(sample{name: requestName(p.tag), module: p.tag("scenario"), at: p.at - int64(p.value), elapsed: elapsed, failed: failedRequest(p.tag)})
	case "dropped_iterations":
		if p.at >= s.samples.from {
			s.dropped += p.value
		}
	}
}

// requestName is the name tag, which k6 sets to the address where the script
// gives none.
func requestName(tag func(string) string) string {
	name := tag("name")
	if name == "" {
		name = tag("url")
	}
	return redactURL(name)
}

// failedRequest: k6 says whether the answer was expected; a script may turn
// that off, and then the status tells, or its absence.
func failedRequest(tag func(string) string) bool {
	if expected := tag("expected_response"); expected != "" {
		return expected != "true"
	}
	status, err := strconv.Atoi(tag("status"))
	return tag("error_code") != "" || err == nil && (status == 0 || status >= 400)
}

// run ends the reading: err is nil at the end of the file, else why the rest
// could not be read; a tool that was killed leaves half a line.
func (s *stream) run(err error) (evidence.LoadRun, error) {
	if err != nil && s.read == 0 {
		return evidence.LoadRun{}, err
	}
	out := s.samples.run("k6")
	out.Dropped = s.dropped
	if err != nil {
		out.Notes = append(out.Notes, fmt.Sprintf("read %d points alone: %v", s.read, err))
	}
	return out, nil
}

// maxLine bounds a line of any stream.
const maxLine = 1 << 20

// eachLine hands over lines that are not empty until one is an error.
func eachLine(in io.Reader, each func(line []byte) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; scanner.Scan(); n++ {
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := each(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return scanner.Err()
}

func parseK6JSON(in io.Reader, from int64) (evidence.LoadRun, error) {
	s := newStream(from)
	return s.run(eachLine(in, func(line []byte) error {
		if !bytes.Contains(line, []byte(`"Point"`)) {
			return nil // what a metric is
		}
		var p struct {
			Metric string `json:"metric"`
			Data   struct {
				Time  time.Time         `json:"time"`
				Value float64           `json:"value"`
				Tags  map[string]string `json:"tags"`
			} `json:"data"`
		}
		if err := json.Unmarshal(line, &p); err != nil {
			return errors.New("no point of k6")
		}
		s.take(point{p.Metric, p.Data.Value, p.Data.Time.UnixMilli(), func(name string) string { return p.Data.Tags[name] }})
		return nil
	}))
}

func parseK6CSV(in io.Reader, from int64) (evidence.LoadRun, error) {
	s := newStream(from)
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	column := map[string]int{}
	for line := 1; ; line++ {
		record, err := r.Read()
		if err == io.EOF {
			return s.run(nil)
		}
		if err == nil && line == 1 {
			for i, name := range record {
				column[strings.Clone(name)] = i
			}
			continue
		}
		if err == nil {
			err = s.takeRecord(record, column)
		}
		if err != nil {
			return s.run(fmt.Errorf("line %d: %w", line, err))
		}
	}
}

func (s *stream) takeRecord(record []string, column map[string]int) error {
	field := func(name string) string {
		if i, ok := column[name]; ok && i < len(record) {
			return record[i]
		}
		return ""
	}
	value, err := strconv.ParseFloat(field("metric_value"), 64)
	if err != nil {
		return errors.New("metric_value is not a number")
	}
	at, err := unixMilli(field("timestamp"))
	if err != nil {
		return err
	}
	s.take(point{field("metric_name"), value, at, field})
	return nil
}

// unixMilli reads a time as tools write it: Unix time in s, ms, us or ns, told
// apart by size, or RFC 3339.
func unixMilli(text string) (int64, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UnixMilli(), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0) || v > 1e19 {
		return 0, fmt.Errorf("%.40q is no time: Unix time or RFC 3339", text)
	}
	for v >= 1e14 { // us or ns
		v /= 1000
	}
	if v < 1e11 { // s
		v *= 1000
	}
	return int64(v), nil
}
