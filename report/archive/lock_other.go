//go:build !unix

package archive

import (
	"fmt"
	"os"
)

// takeLock cannot keep another process out here: that is left to the caller.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	return f, nil
}
