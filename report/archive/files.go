package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// unfinished begins the name of a file that is being written.
const unfinished = ".tmp-"

// writeWhole writes a file so that a reader, and a machine that loses its
// power, finds all of it or what was there before.
func writeWhole(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	f, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("history: writing %s: %w", filepath.Base(path), err)
	}
	return syncDirectory(dir)
}

// syncDirectory makes a rename last.
func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}
