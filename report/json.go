package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// maxJSON bounds what Read takes in, in bytes. A report is well below 2 MB.
const maxJSON = 64 << 20

// writeJSON is the contract for programs, indented, with the points of a line
// side by side: a chart is one thing to a reader of differences.
func writeJSON(w io.Writer, r *Report) error {
	var compact bytes.Buffer
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact.Bytes(), "", " "); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	_, err := w.Write(joinNumbers(indented.Bytes()))
	return err
}

// joinNumbers puts the numbers of an array on one line. A line of indented
// JSON that starts with a digit or a sign is an element: strings and keys
// start with a quote.
func joinNumbers(in []byte) []byte {
	out := make([]byte, 0, len(in))
	joining := false
	for l := range bytes.Lines(in) {
		t := bytes.TrimSpace(l)
		number := len(t) > 0 && (t[0] == '-' || t[0] >= '0' && t[0] <= '9')
		if number || joining && len(t) > 0 && t[0] == ']' {
			out = bytes.TrimRight(out, "\n ")
			out = append(out, t...)
		} else {
			out = append(out, bytes.TrimRight(l, "\n")...)
		}
		joining = number
		out = append(out, '\n')
	}
	return out
}

// Read takes a report.json again, so that other formats can be made from it.
// Unknown fields are let pass, a newer schema is refused, and what it holds is
// neutralised as if it had just been measured: a file is as foreign as a span.
func Read(in io.Reader) (*Report, error) {
	limited := &io.LimitedReader{R: in, N: maxJSON}
	var r Report
	if err := json.NewDecoder(limited).Decode(&r); err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("read report: larger than %d MB", maxJSON>>20)
		}
		return nil, fmt.Errorf("read report: %w", err)
	}
	switch {
	case r.SchemaVersion == 0:
		return nil, fmt.Errorf("read report: no schema_version, this is not a report")
	case r.SchemaVersion > SchemaVersion:
		return nil, fmt.Errorf("read report: schema_version %d is newer than %d, which this version knows", r.SchemaVersion, SchemaVersion)
	}
	r = cleaned(r)
	r.drawable()
	return &r, nil
}

// drawable holds charts and traces to what Build makes of them.
func (r *Report) drawable() {
	r.Map = r.Map.usable()
	r.Limits = first(r.Limits, limitsShown)
	for i := range r.Symptoms {
		s := &r.Symptoms[i]
		s.Charts, s.Throughput = thinned(s.Charts), first(s.Throughput, pointsPerLine)
	}
	for i := range r.Ledgers {
		r.Ledgers[i].Lines = first(r.Ledgers[i].Lines, ledgerLines)
	}
	for _, causes := range [][]Cause{r.Causes, r.Leads, r.Housekeeping} {
		for i := range causes {
			causes[i].Charts = thinned(causes[i].Charts)
			causes[i].Onset.drawable()
			for k := range causes[i].Traces {
				t := &causes[i].Traces[k]
				t.Spans = first(t.Spans, waterfallRows)
				for s := range t.Spans {
					t.Spans[s].Path = first(t.Spans[s].Path, 2*pathSteps)
				}
			}
		}
	}
}
