package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// windowSize of the compression: spans of one trace lie in several parts of
// the message, so repeated ids are found only across megabytes.
const windowSize = 8 << 20

// WriteFile writes the bundle beside path and renames it there, so that a
// crash leaves no half-written file under the name.
func WriteFile(path string, b *evidence.Bundle) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := Write(f, b); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	return os.Rename(f.Name(), path)
}

// Write encodes a sorted bundle. The same bundle gives the same bytes.
func Write(w io.Writer, b *evidence.Bundle) error {
	m := manifest{SchemaVersion: SchemaVersion, Culprit: b.Version, Window: b.Window, Baseline: b.Baseline, BaselineRun: b.BaselineRun, Prices: b.Prices,
		Sources: b.Sources, Gaps: b.Gaps, Redaction: redaction}
	contents, err := encodeParts(b, &m)
	if err != nil {
		return err
	}
	head, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("writing the bundle: %s: %w", partManifest, err)
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowSize))
	if err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	t := tar.NewWriter(z)
	err = writePart(t, partManifest, head)
	for i, p := range m.Parts {
		if err == nil {
			err = writePart(t, p.Name, contents[i])
		}
	}
	for _, end := range []func() error{t.Close, z.Close} {
		if err == nil {
			err = end()
		}
	}
	if err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	return nil
}

func writePart(t *tar.Writer, name string, content []byte) error {
	h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

// encodeParts encodes what is there and announces it in the manifest.
func encodeParts(b *evidence.Bundle, m *manifest) ([][]byte, error) {
	encoders := []struct {
		name   string
		items  int
		encode func() ([]byte, error)
	}{
		{partSpans, len(b.Spans), func() ([]byte, error) { return encodeSpans(b.Spans) }},
		{partWeights, len(b.Weights), func() ([]byte, error) { return encodeLines(b.Weights, weightLineOf) }},
		{partSeries, len(b.Series), func() ([]byte, error) { return encodeLines(b.Series, seriesLineOf) }},
		{partHistograms, len(b.Histograms), func() ([]byte, error) { return encodeLines(b.Histograms, histogramLineOf) }},
		{partPostgres, len(b.Postgres), func() ([]byte, error) { return encodeLines(b.Postgres, same[evidence.Postgres]) }},
		{partLoads, len(b.Loads), func() ([]byte, error) { return encodeLines(b.Loads, same[evidence.LoadRun]) }},
		{partEvents, len(b.Events), func() ([]byte, error) { return encodeLines(b.Events, same[evidence.Event]) }},
	}
	var contents [][]byte
	for _, e := range encoders {
		if e.items == 0 {
			continue
		}
		content, err := e.encode()
		if err != nil {
			return nil, fmt.Errorf("writing the bundle: %s: %w", e.name, err)
		}
		sum := sha256.Sum256(content)
		m.Parts = append(m.Parts, part{Name: e.name, Bytes: int64(len(content)), Items: e.items, SHA256: hex.EncodeToString(sum[:])})
		contents = append(contents, content)
	}
	return contents, nil
}

// encodeLines writes one JSON object a line.
func encodeLines[T, L any](items []T, line func(*T) (L, error)) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for i := range items {
		l, err := line(&items[i])
		if err == nil {
			err = enc.Encode(l)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return buf.Bytes(), nil
}
