package traces

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// File reads spans from a file: OTLP as JSON (one document or one a line) or
// protobuf (bare, or length-prefixed as the OpenTelemetry Collector's file
// exporter writes it), Jaeger JSON, Zipkin JSON; plain, gzip or zstd. Content
// tells which, not the name.
type File struct {
	cfg  Config
	path string
}

var (
	_ collectors.Collector = (*File)(nil)
	_ collectors.Checker   = (*File)(nil)
)

const (
	maxDocument = 1 << 30 // bytes of one document of a file, decompressed
	maxFile     = 8 << 30 // bytes of a file, decompressed
	maxTroubles = 5       // told of in a report
)

// NewFile prepares to read a file. Of cfg it uses MaxSpans and Progress.
func NewFile(path string, cfg Config) (*File, error) {
	cfg.setDefaults()
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("file of traces: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("file of traces: %s is a directory", path)
	}
	return &File{cfg, path}, nil
}

// Name of the source.
func (f *File) Name() string { return "traces" }

// Provides spans.
func (f *File) Provides() []evidence.Kind { return []evidence.Kind{evidence.Spans} }

// Collect reads the file and returns the traces that began in the window; a
// zero window takes them all.
func (f *File) Collect(ctx context.Context, w evidence.Window) (*evidence.Bundle, error) {
	start := time.Now()
	r, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	before := r.keeper.kept
	b := &evidence.Bundle{Window: w, Spans: r.keeper.take(w)}
	b.Weights = r.keeper.weights(b.Spans)
	src := evidence.Source{Name: f.Name(), Status: evidence.StatusOK, Target: filepath.Base(f.path), Protocol: r.format, Items: len(b.Spans), Seconds: time.Since(start).Seconds()}
	src.Notes = append(r.keeper.notes(), r.builder.dropped()...)
	if len(r.troubles) > 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, evidence.Gap{Source: f.Name(), Kinds: f.Provides(), Reason: r.trouble().Error(), Remedy: "the rest of the file is used; write it anew if it was cut short"})
	}
	if len(b.Spans) == 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, noTraces(fmt.Sprintf("%s has %d spans, none of a trace that begins in the window", filepath.Base(f.path), before)))
	}
	b.Sources = []evidence.Source{src}
	f.cfg.Progress(collectors.Event{Source: f.Name(), Text: fmt.Sprintf("%d spans", len(b.Spans)), End: true})
	return b, nil
}

// Check reads the file and tells what it holds.
func (f *File) Check(ctx context.Context) (collectors.Preflight, error) {
	p := collectors.Preflight{Source: evidence.Source{Name: f.Name(), Target: filepath.Base(f.path), Status: evidence.StatusFailed}}
	r, err := f.read(ctx)
	if err != nil {
		return p, err
	}
	p.Source.Status, p.Source.Protocol, p.Source.Items = evidence.StatusOK, r.format, r.keeper.seen
	p.Lines = []string{fmt.Sprintf("%s, %d spans", r.format, r.keeper.seen)}
	if len(r.troubles) > 0 {
		p.Source.Status = evidence.StatusPartial
		p.Lines = append(p.Lines, r.trouble().Error())
	}
	return p, nil
}

// read decodes the whole file. The error is non-nil if nothing was of use.
func (f *File) read(ctx context.Context) (*fileReader, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("open the traces: %w", err)
	}
	defer file.Close()
	r := &fileReader{name: filepath.Base(f.path), progress: f.cfg.Progress, builder: newBuilder(), keeper: keeper{maxSpans: f.cfg.MaxSpans}}
	if err := r.all(ctx, file); err != nil {
		r.fail("", err)
	}
	if r.keeper.seen == 0 && len(r.troubles) > 0 {
		return nil, r.trouble()
	}
	return r, nil
}

// fileReader is one reading of one file.
type fileReader struct {
	name     string
	format   string
	progress collectors.Reporter
	builder  *builder
	keeper   keeper
	spans    []evidence.Span // scratch
	troubles []error
	more     int // troubles beyond those kept
}

func (r *fileReader) fail(place string, err error) {
	if len(r.troubles) >= maxTroubles {
		r.more++
		return
	}
	if place != "" {
		place = " " + place
	}
	r.troubles = append(r.troubles, fmt.Errorf("%s%s: %w", r.name, place, err))
}

func (r *fileReader) trouble() error {
	err := r.troubles[0]
	if n := len(r.troubles) - 1 + r.more; n > 0 {
		return fmt.Errorf("%w (and %d more like it)", err, n)
	}
	return err
}

func (r *fileReader) take(place string, spans []evidence.Span, err error) {
	r.keeper.add(spans)
	if err != nil {
		r.fail(place, err)
	}
	r.progress(collectors.Event{Source: "traces", Text: fmt.Sprintf("%s: %d spans", r.name, r.keeper.seen), Done: r.keeper.seen})
}

// all finds compression and format by the first bytes.
func (r *fileReader) all(ctx context.Context, file io.Reader) error {
	in := bufio.NewReaderSize(file, 64<<10)
	head, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		in = bufio.NewReaderSize(unzipped, 64<<10)
	case bytes.Equal(head, zstdMagic):
		unzipped, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		defer unzipped.Close()
		in = bufio.NewReaderSize(unzipped, 64<<10)
	}
	in = bufio.NewReaderSize(io.LimitReader(in, maxFile), 64<<10)
	text, err := beginsText(in)
	switch {
	case err != nil:
		return fmt.Errorf("read the beginning: %w", err)
	case text:
		return r.documents(ctx, in)
	}
	return r.messages(ctx, in)
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// beginsText reports whether JSON follows a byte-order mark and white space,
// and skips these; protobuf may begin with a byte that is white space too.
func beginsText(in *bufio.Reader) (bool, error) {
	head, err := in.Peek(512)
	if len(head) == 0 {
		if err == io.EOF {
			return false, errors.New("the file is empty")
		}
		return false, err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte{0xef, 0xbb, 0xbf}), " \t\r\n")
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return false, nil
	}
	mark := len(head) - len(bytes.TrimPrefix(head, []byte{0xef, 0xbb, 0xbf}))
	_, err = in.Discard(mark)
	return true, err
}
