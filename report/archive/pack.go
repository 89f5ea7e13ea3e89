package archive

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// maxReport bounds a report unpacked, in bytes: what report.Read takes.
const maxReport = 64 << 20

// pack compresses a report. The encoder lives for the call: a service is idle
// most of the time, and an encoder keeps megabytes.
func pack(report []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, fmt.Errorf("history: compressing a report: %w", err)
	}
	defer w.Close()
	return w.EncodeAll(report, nil), nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxReport))
	if err != nil {
		return nil, fmt.Errorf("history: reading a report: %w", err)
	}
	defer r.Close()
	out, err := r.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("history: a report is damaged: %w", err)
	}
	return out, nil
}
