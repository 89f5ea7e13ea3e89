// Package loadtest brings the load tool's own account of a run: when it
// started and ended, how it exited, and what its clients measured. It starts
// the command that the user named, or reads the result file of an earlier run.
//
// It never changes what the load does: the one argument it may add asks the
// tool for a result file. It keeps no argument that looks like a secret.
package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// maxResultBytes bounds a result file; a k6 summary has some 10 kB.
const maxResultBytes = 64 << 20

// sourceName is the name of this source in evidence.
const sourceName = "load"

func provides() []evidence.Kind {
	return []evidence.Kind{evidence.LoadRuns, evidence.LoadRequestStats}
}

// File is the result file of a load tool as a source.
type File struct{ path string }

// NewFile names a result file: a k6 summary of any schema.
func NewFile(path string) *File { return &File{path: path} }

// Name of the source.
func (f *File) Name() string { return sourceName }

// Provides lists the kinds that a result file may bring.
func (f *File) Provides() []evidence.Kind { return provides() }

// Collect reads the file. A tool that does not say when it ran is taken to
// have run over the window, and the note says so.
func (f *File) Collect(_ context.Context, w evidence.Window) (*evidence.Bundle, error) {
	run, err := readFile(f.path)
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

func readFile(path string) (evidence.LoadRun, error) {
	f, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err // the path is said by the caller
		}
		return evidence.LoadRun{}, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxResultBytes+1))
	switch {
	case err != nil:
		return evidence.LoadRun{}, err
	case len(content) > maxResultBytes:
		return evidence.LoadRun{}, fmt.Errorf("larger than %d MiB", maxResultBytes>>20)
	}
	return parseK6(content)
}
