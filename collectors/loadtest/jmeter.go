package loadtest

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A JTL file of JMeter logs every sample, as CSV or XML; times are Unix ms and
// ms. The sample of a Transaction Controller stands for the requests inside
// it: in CSV they are rows of their own unless the controller makes a parent
// sample, in XML they are nested.

// jtlFields is JMeter's order where the file has no line of names, which
// print_field_names=false leaves out (the default before 3.0). Later versions
// add and move fields behind these.
var jtlFields = []string{"timeStamp", "elapsed", "label", "responseCode", "responseMessage", "threadName", "dataType", "success"}

const transactionMessage = "Number of samples in transaction : "

// parseJTLCSV reads a log whose fields are separated by delimiter.
func parseJTLCSV(in io.Reader, delimiter rune, from int64) (evidence.LoadRun, error) {
	r := csv.NewReader(in)
	r.Comma, r.FieldsPerRecord, r.ReuseRecord, r.LazyQuotes = delimiter, -1, true, true
	log := &jtlCSV{samples: newSamples(from)}
	for line := 1; ; line++ {
		record, err := r.Read()
		if err == nil {
			err = log.take(record)
		}
		switch {
		case err == nil:
		case err == io.EOF:
			return log.run(), nil
		case log.read == 0:
			return evidence.LoadRun{}, fmt.Errorf("JTL, line %d: %w", line, err)
		default: // the tool may have been killed in the middle of a line
			run := log.run()
			run.Notes = append(run.Notes, fmt.Sprintf("read up to line %d alone: %v", line-1, err))
			return run, nil
		}
	}
}

type jtlRow struct {
	label, thread string
	at, elapsed   int64 // ms
	failed        bool
}

func (r *jtlRow) sample(stands bool) sample {
	return sample{name: r.label, module: threadGroup(r.thread), at: r.at, elapsed: float64(r.elapsed) / 1000, failed: r.failed, stands: stands}
}

// threadGroup takes the numbers of group and thread off a thread's name, which
// is "group 1-12", with the generator's host before it in a distributed run.
func threadGroup(thread string) string {
	name, numbers := thread, ""
	if i := strings.LastIndexByte(thread, ' '); i >= 0 {
		name, numbers = thread[:i], thread[i+1:]
	}
	if strings.Trim(numbers, "0123456789-") != "" {
		return thread
	}
	return name
}

type jtlCSV struct {
	samples *samples
	column  map[string]int
	read    int
	inside  int // requests that the transactions say they hold
}

// run settles whether the transactions count among all requests: they do where
// the requests that they hold are not in the log.
func (l *jtlCSV) run() evidence.LoadRun {
	if l.inside > l.samples.all.count {
		l.samples.countStanding()
	}
	return l.samples.run("jmeter")
}

func (l *jtlCSV) take(record []string) error {
	if l.column == nil {
		var names bool
		if l.column, names = jtlColumns(record); names {
			return nil
		}
	}
	row, message, err := l.row(record)
	if err != nil {
		return err
	}
	l.read++
	text, transaction := strings.CutPrefix(message, transactionMessage)
	l.samples.add(row.sample(transaction))
	if transaction && row.at >= l.samples.from {
		digits, _, _ := strings.Cut(text, ",")
		n, _ := strconv.Atoi(strings.TrimSpace(digits))
		l.inside += n
	}
	return nil
}

func (l *jtlCSV) row(record []string) (row jtlRow, message string, err error) {
	field := func(name string) string {
		if i, ok := l.column[name]; ok && i < len(record) {
			return record[i]
		}
		return ""
	}
	at, err := strconv.ParseInt(field("timeStamp"), 10, 64)
	if err != nil {
		return row, "", errors.New("timeStamp is not in ms: set jmeter.save.saveservice.timestamp_format=ms")
	}
	elapsed, err := strconv.ParseInt(field("elapsed"), 10, 64)
	if err != nil || elapsed < 0 {
		return row, "", errors.New("elapsed is not a number of ms")
	}
	return jtlRow{label: field("label"), thread: field("threadName"), at: at, elapsed: elapsed, failed: field("success") != "true"}, field("responseMessage"), nil
}

// isJTL tells a JTL by its first line: names, or a time in ms and a number.
func isJTL(line string) bool {
	if strings.Contains(line, "timeStamp") && strings.Contains(line, "elapsed") {
		return true
	}
	fields := strings.Split(line, string(delimiterOf(line)))
	if len(fields) < len(jtlFields) || len(fields[0]) != len("1700000000000") {
		return false
	}
	_, at := strconv.ParseInt(fields[0], 10, 64)
	_, elapsed := strconv.ParseInt(fields[1], 10, 64)
	return at == nil && elapsed == nil
}

// delimiterOf finds jmeter.save.saveservice.default_delimiter: what follows the
// first field.
func delimiterOf(line string) rune {
	for _, c := range line {
		if c != '_' && c != '"' && !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '.' {
			return c
		}
	}
	return ','
}

// jtlColumns finds the fields; names says whether the record is the line of
// names.
func jtlColumns(record []string) (column map[string]int, names bool) {
	fields := jtlFields
	if slices.Contains(record, "timeStamp") {
		fields, names = slices.Clone(record), true
	}
	column = map[string]int{}
	for i, f := range fields {
		column[f] = i
	}
	return column, names
}

// parseJTLXML reads the samples as they come. A sample that holds others is a
// transaction and does not count among all requests; an httpSample that does
// is one request with its redirects or embedded resources, which do not count.
func parseJTLXML(in io.Reader, from int64) (evidence.LoadRun, error) {
	x := &jtlXML{samples: newSamples(from)}
	d := xml.NewDecoder(in)
	for {
		token, err := d.Token()
		if err == nil {
			err = x.take(token)
		}
		switch {
		case err == nil:
		case err == io.EOF:
			return x.samples.run("jmeter"), nil
		case x.read == 0:
			return evidence.LoadRun{}, fmt.Errorf("JTL: %w", err)
		default: // the tool may have been killed in the middle of a line
			run := x.samples.run("jmeter")
			run.Notes = append(run.Notes, fmt.Sprintf("read %d samples alone: %v", x.read, err))
			return run, nil
		}
	}
}

// maxNesting bounds the depth of a JTL; transactions in transactions stay
// below ten.
const maxNesting = 64

type jtlXML struct {
	samples *samples
	open    []jtlElement
	read    int
}

type jtlElement struct {
	name  string // of the element
	row   jtlRow
	holds bool // other samples
}

func (e *jtlElement) sample() bool { return e.name == "sample" || e.name == "httpSample" }

func (x *jtlXML) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return x.begin(t)
	case xml.EndElement:
		last := x.open[len(x.open)-1] // the decoder holds elements to match
		x.open = x.open[:len(x.open)-1]
		x.end(&last)
	}
	return nil
}

func (x *jtlXML) begin(t xml.StartElement) error {
	if len(x.open) >= maxNesting {
		return fmt.Errorf("elements nested deeper than %d", maxNesting)
	}
	e := jtlElement{name: t.Name.Local}
	if e.sample() {
		if err := e.row.read(t.Attr); err != nil {
			return err
		}
		if n := len(x.open); n > 0 {
			x.open[n-1].holds = true
		}
	}
	x.open = append(x.open, e)
	return nil
}

func (r *jtlRow) read(attrs []xml.Attr) (err error) {
	for _, a := range attrs {
		switch a.Name.Local {
		case "t":
			r.elapsed, err = strconv.ParseInt(a.Value, 10, 64)
		case "ts":
			r.at, err = strconv.ParseInt(a.Value, 10, 64)
		case "s":
			r.failed = a.Value != "true"
		case "lb":
			r.label = a.Value
		case "tn":
			r.thread = a.Value
		}
		if err != nil || r.elapsed < 0 {
			return fmt.Errorf("attribute %s of a sample is not a number of ms", a.Name.Local)
		}
	}
	return nil
}

// end counts a sample that is complete.
func (x *jtlXML) end(e *jtlElement) {
	inside := func(o jtlElement) bool { return o.name == "httpSample" }
	if !e.sample() || slices.ContainsFunc(x.open, inside) {
		return
	}
	x.read++
	x.samples.add(e.row.sample(e.name != "httpSample" && e.holds))
}
