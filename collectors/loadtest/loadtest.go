// Package loadtest brings the load tool's own account of a run: when it
// started and ended, how it exited, and what its clients measured. It starts
// the command that the user named, or reads the result file of an earlier run.
//
// It never changes what the load does: the one argument it may add asks the
// tool for a result file. It keeps no argument that looks like a secret.
package loadtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// maxResultBytes bounds a summary; k6's has some 10 kB.
const maxResultBytes = 64 << 20

// sourceName is the name of this source in evidence.
const sourceName = "load"

func provides() []evidence.Kind {
	return []evidence.Kind{evidence.LoadRuns, evidence.LoadRequestStats}
}

// File is the result file of a load tool as a source.
type File struct{ path string }

// NewFile names a result file: a k6 summary of any schema, or its stream of
// points in JSON, CSV or InfluxDB's line protocol; a JTL of JMeter in CSV or XML;
// one of the statistics files of Locust, which finds the other; Gatling's log
// or statistics; or a plain CSV. Any of them may be gzipped.
func NewFile(path string) *File { return &File{path: path} }

// Name of the source.
func (f *File) Name() string { return sourceName }

// Provides lists the kinds that a result file may bring.
func (f *File) Provides() []evidence.Kind { return provides() }

// Window is when the run was by the file's own account, in whole seconds; zero
// where it does not say.
func (f *File) Window() (evidence.Window, error) {
	run, err := readFile(f.path, 0)
	if err != nil {
		return evidence.Window{}, fmt.Errorf("load: reading %s: %w", f.path, err)
	}
	if run.Start == 0 || run.End == 0 {
		return evidence.Window{}, nil
	}
	return evidence.Window{
		Start: time.UnixMilli(run.Start).UTC().Truncate(time.Second),
		End:   time.UnixMilli(run.End + 999).UTC().Truncate(time.Second),
	}, nil
}

// Collect reads the file. A tool that does not say when it ran is taken to
// have run over the window, and the note says so.
func (f *File) Collect(_ context.Context, w evidence.Window) (*evidence.Bundle, error) {
	run, err := readFile(f.path, 0)
	if err != nil {
		return nil, fmt.Errorf("load: reading %s: %w", f.path, err)
	}
	if run.End == 0 {
		run.Start, run.End = w.Start.UnixMilli(), w.End.UnixMilli()
		run.Notes = append(run.Notes, "the result file does not say when the run was: taken to be the window")
	}
	return bundleOf(run, f.path, nil), nil
}

func bundleOf(run evidence.LoadRun, target string, gaps []evidence.Gap) *evidence.Bundle {
	source := evidence.Source{Name: sourceName, Status: evidence.StatusOK, Target: target, Version: run.Tool, Items: len(run.Requests)}
	if len(gaps) > 0 {
		source.Status = evidence.StatusPartial
	}
	return &evidence.Bundle{Sources: []evidence.Source{source}, Loads: []evidence.LoadRun{run}, Gaps: gaps}
}

// readFile reads the result file of any tool that is known. Samples that began
// before from (Unix ms, 0 for none) are of another run.
func readFile(path string, from int64) (evidence.LoadRun, error) {
	f, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err // the path is said by the caller
		}
		return evidence.LoadRun{}, err
	}
	defer f.Close()
	in, err := unpacked(f)
	if err != nil {
		return evidence.LoadRun{}, err
	}
	head, err := in.Peek(sniffed)
	if err != nil && err != io.EOF {
		return evidence.LoadRun{}, err
	}
	return readSniffed(path, head, in, from)
}

// unpacked reads a gzip as what is in it, and skips a byte order mark.
func unpacked(f io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(&io.LimitedReader{R: f, N: maxLogBytes}, 64<<10)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("unpacking: %w", err)
		}
		in = bufio.NewReaderSize(&io.LimitedReader{R: z, N: maxLogBytes}, 64<<10)
	}
	if bom, _ := in.Peek(3); string(bom) == "\ufeff" {
		in.Discard(len(bom)) // cannot fail: it was peeked
	}
	return in, nil
}

// readSniffed tells the tool by how its file begins.
func readSniffed(path string, head []byte, in io.Reader, from int64) (evidence.LoadRun, error) {
	first, _, _ := strings.Cut(string(bytes.TrimLeft(head, " \t\r\n")), "\n")
	switch {
	case strings.HasPrefix(first, "<?xml"), strings.HasPrefix(first, "<testResults"):
		return parseJTLXML(in, from)
	case strings.HasPrefix(first, "Type,Name,Request Count,"):
		return readLocust(path, in)
	case strings.HasPrefix(first, "Timestamp,User Count,Type,Name,"):
		return readLocustFor(path)
	case isJTL(first):
		return parseJTLCSV(in, delimiterOf(first), from)
	case strings.HasPrefix(first, "metric_name,timestamp,metric_value"):
		return parseK6CSV(in, from)
	case strings.HasPrefix(first, `{"type":"Metric"`), strings.HasPrefix(first, `{"metric":`):
		return parseK6JSON(in, from)
	case strings.HasPrefix(first, "RUN\t"):
		return parseGatlingLog(in, from)
	case filepath.Base(path) == gatlingLog:
		return evidence.LoadRun{}, errors.New("a log of Gatling 3.12 or later, which Gatling alone can read: give js/stats.json of its report")
	case isPlain(first):
		return parsePlain(in, from)
	case isInflux(first):
		return parseInflux(in, from)
	}
	return readSummary(in)
}

// sniffed are the bytes that tell a format.
const sniffed = 4 << 10

// maxLogBytes bounds a log of single requests, some 20 million of them; it is
// read as a stream.
const maxLogBytes = 2 << 30

func readSummary(in io.Reader) (evidence.LoadRun, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxResultBytes+1))
	switch {
	case err != nil:
		return evidence.LoadRun{}, err
	case len(content) > maxResultBytes:
		return evidence.LoadRun{}, fmt.Errorf("larger than %d MiB", maxResultBytes>>20)
	}
	if run, err := parseGatlingStats(content); err == nil {
		return run, nil
	}
	return parseK6(content)
}
