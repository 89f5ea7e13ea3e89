package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	recordEnd = ".run.json"
	reportEnd = ".report.json.zst"
	// maxRecord bounds a record that is read, in bytes.
	maxRecord = 1 << 20
	// directoryVersion is of the layout: TARGET/ID.run.json beside
	// TARGET/ID.report.json.zst.
	directoryVersion = "1\n"
)

// directory keeps one small file a record and one a report, each written
// whole or not at all. One process has it at a time. Of a run that has ended,
// only what is decided on is held in memory too: a service with years of history
// needs no more than its list.
type directory struct {
	path string
	log  *slog.Logger
	lock *os.File

	mu   sync.Mutex
	runs map[string]*Run // by key, as hold leaves them
	ids  map[string]*Run // the same by id
}

// OpenDirectory makes the directory if need be, and takes it for this process.
// Files that cannot be read are left where they are, and logged.
func OpenDirectory(path string, log *slog.Logger) (Store, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("history: making the directory: %w", err)
	}
	d := &directory{path: path, log: log, runs: map[string]*Run{}, ids: map[string]*Run{}}
	var err error
	if d.lock, err = takeLock(filepath.Join(path, "lock")); err != nil {
		return nil, fmt.Errorf("history %s: %w", path, err)
	}
	if err := d.open(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *directory) open() error {
	version := filepath.Join(d.path, "version")
	switch text, err := os.ReadFile(version); {
	case errors.Is(err, fs.ErrNotExist):
		if err := writeWhole(version, []byte(directoryVersion)); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("history: reading the version: %w", err)
	case string(text) != directoryVersion:
		return fmt.Errorf("history %s has layout %q, this version knows %q", d.path, strings.TrimSpace(string(text)), strings.TrimSpace(directoryVersion))
	}
	if err := filepath.WalkDir(d.path, d.load); err != nil {
		return fmt.Errorf("history: reading the directory: %w", err)
	}
	return d.settle()
}

// load takes one file in.
func (d *directory) load(path string, entry fs.DirEntry, err error) error {
	name := entry.Name()
	switch {
	case err != nil:
		return err
	case entry.IsDir():
		return nil
	case strings.HasPrefix(name, unfinished):
		return os.Remove(path) // a write that was cut off
	case strings.HasSuffix(name, reportEnd):
		return removeAlone(path)
	case !strings.HasSuffix(name, recordEnd):
		return nil
	}
	r, err := readRecord(path)
	if err == nil && d.recordPath(r) != path {
		err = fmt.Errorf("it is the record of %s", r.ID)
	}
	if err != nil {
		d.log.Warn("a record of the history cannot be read and is left alone", "file", path, "error", err)
		return nil
	}
	d.hold(r)
	return nil
}

// removeAlone removes a report whose record a removal took away before it was
// cut off.
func removeAlone(path string) error {
	_, err := os.Stat(strings.TrimSuffix(path, reportEnd) + recordEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Remove(path)
	}
	return err
}

// settle gives back what the process before us had begun, and removes reports
// that were written without their record.
func (d *directory) settle() error {
	for _, r := range d.runs {
		if r.State == Running {
			back := takenAway(*r, time.Now())
			if err := d.write(back); err != nil {
				return err
			}
			d.log.Warn("took a run away from the process before this one", "run", back.ID, "target", back.Target, "state", back.State, "reason", back.Reason)
		}
		if !r.Reported {
			_ = os.Remove(d.reportPath(*r))
		}
	}
	return nil
}

func readRecord(path string) (Run, error) {
	var r Run
	info, err := os.Stat(path)
	if err != nil {
		return r, err
	}
	if info.Size() > maxRecord {
		return r, fmt.Errorf("%d bytes are more than a record has", info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if r.Key == "" || r.ID == "" || r.Target == "" {
		return r, errors.New("it names no run")
	}
	return r, nil
}

func (d *directory) recordPath(r Run) string { return filepath.Join(d.path, r.Target, r.ID+recordEnd) }
func (d *directory) reportPath(r Run) string { return filepath.Join(d.path, r.Target, r.ID+reportEnd) }

// hold puts a record into memory: whole while it is open, in brief after that.
func (d *directory) hold(r Run) {
	if !r.State.Open() {
		r = Run{Key: r.Key, ID: r.ID, Target: r.Target, Trigger: r.Trigger, Group: r.Group, Slot: r.Slot, State: r.State, Added: r.Added, Reported: r.Reported}
	}
	d.runs[r.Key], d.ids[r.ID] = &r, &r
}

// whole is the record that is held in brief; ErrUnknown where it was removed
// meanwhile, or is damaged.
func (d *directory) whole(held Run) (Run, error) {
	if held.State.Open() {
		return held, nil
	}
	r, err := readRecord(d.recordPath(held))
	if err == nil {
		return r, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("a record of the history cannot be read and is left alone", "file", d.recordPath(held), "error", err)
	}
	return Run{}, ErrUnknown
}

// write puts a record on the disk, then into memory.
func (d *directory) write(r Run) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := writeWhole(d.recordPath(r), append(text, '\n')); err != nil {
		return err
	}
	d.hold(r)
	return nil
}

// Close gives the directory free.
func (d *directory) Close() { _ = d.lock.Close() }

// Beat has nobody to tell: the lock says that we are alive.
func (d *directory) Beat(context.Context, string, []string) error { return nil }
