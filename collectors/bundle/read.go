package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// ReadFile reads a bundle within DefaultLimits.
func ReadFile(path string) (*evidence.Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	defer f.Close()
	b, err := Read(f, DefaultLimits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Read decodes a bundle. The error is one line and names the part that is
// damaged, missing or too large.
func Read(r io.Reader, limits Limits) (*evidence.Bundle, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(windowSize), zstd.WithDecoderMaxMemory(uint64(limits.Bytes)))
	if err != nil {
		return nil, fmt.Errorf("not a culprit bundle: %w", err)
	}
	defer z.Close()
	return readArchive(z, limits)
}

// archive reads the parts in order, counting against the limit.
type archive struct {
	tar    *tar.Reader
	left   int64
	limits Limits
}

// readArchive is Read after decompression.
func readArchive(r io.Reader, limits Limits) (*evidence.Bundle, error) {
	// Headers and padding count as well: an archive of empty parts must end.
	a := &archive{tar: tar.NewReader(io.LimitReader(r, limits.Bytes+1<<20)), left: limits.Bytes, limits: limits}
	m, err := a.manifest()
	if err != nil {
		return nil, err
	}
	b := &evidence.Bundle{Version: m.Culprit, Window: m.Window, Baseline: m.Baseline, BaselineRun: m.BaselineRun, Prices: m.Prices, Sources: m.Sources, Gaps: m.Gaps}
	for _, p := range m.Parts {
		content, err := a.next(p.Name)
		if err == nil {
			err = decodePart(b, p, content, limits)
		}
		if err != nil {
			return nil, damaged(p.Name, err)
		}
	}
	if h, err := a.tar.Next(); err == nil {
		return nil, fmt.Errorf("the bundle is damaged: part %.60q is not in the manifest", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return nil, damaged("the end", err)
	}
	return b, nil
}

func (a *archive) manifest() (*manifest, error) {
	content, err := a.next(partManifest)
	if errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, tar.ErrHeader) {
		return nil, errors.New("not a culprit bundle (a tar archive under zstandard)")
	}
	if err != nil {
		return nil, damaged(partManifest, err)
	}
	var version struct {
		SchemaVersion int `json:"schema_version"`
	}
	var m manifest
	if err := json.Unmarshal(content, &version); err != nil {
		return nil, damaged(partManifest, err)
	}
	if version.SchemaVersion < 1 || version.SchemaVersion > SchemaVersion {
		return nil, fmt.Errorf("the bundle has schema version %d, this culprit reads 1 to %d", version.SchemaVersion, SchemaVersion)
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, damaged(partManifest, err)
	}
	return &m, nil
}

// next reads the part that must come now.
func (a *archive) next(name string) ([]byte, error) {
	h, err := a.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), err == nil && h.Size > a.left:
		return nil, fmt.Errorf("larger than the %d MiB that are read of a bundle", a.limits.Bytes>>20)
	case err != nil:
		return nil, err
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return nil, fmt.Errorf("%.60q stands in its place", h.Name)
	}
	a.left -= h.Size
	// Grows with what really arrives: a header may promise more than there is.
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, a.tar); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func damaged(name string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("the bundle is cut short in %s", name)
	}
	return fmt.Errorf("the bundle is damaged: %s: %w", name, err)
}

func decodePart(b *evidence.Bundle, p part, content []byte, limits Limits) (err error) {
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != p.SHA256 {
		return errors.New("the checksum differs")
	}
	switch p.Name {
	case partSpans:
		b.Spans, err = decodeSpans(content, p.Items)
	case partWeights:
		b.Weights, err = decodeLines(content, p.Items, limits, weightLine.value)
	case partSeries:
		b.Series, err = decodeLines(content, p.Items, limits, seriesLine.value)
	case partHistograms:
		b.Histograms, err = decodeLines(content, p.Items, limits, histogramLine.value)
	case partPostgres:
		b.Postgres, err = decodeLines(content, p.Items, limits, plain[evidence.Postgres])
	case partLoads:
		b.Loads, err = decodeLines(content, p.Items, limits, plain[evidence.LoadRun])
	case partEvents:
		b.Events, err = decodeLines(content, p.Items, limits, plain[evidence.Event])
	default:
		err = errors.New("an unknown part")
	}
	return err
}

func plain[T any](v T) (T, error) { return v, nil }

func decodeLines[T, L any](content []byte, items int, limits Limits, value func(L) (T, error)) ([]T, error) {
	var out []T
	for n := 1; len(content) > 0; n++ {
		raw, rest, _ := bytes.Cut(content, []byte{'\n'})
		content = rest
		if len(raw) > limits.Line {
			return nil, fmt.Errorf("line %d is longer than %d bytes", n, limits.Line)
		}
		var line L
		if err := json.Unmarshal(raw, &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		v, err := value(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, v)
	}
	if len(out) != items {
		return nil, fmt.Errorf("%d lines, the manifest says %d", len(out), items)
	}
	return out, nil
}
