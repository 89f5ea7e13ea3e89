package traces

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

var (
	errTooLarge = fmt.Errorf("the document is larger than %d MiB", maxDocument>>20)
	errCutShort = errors.New("the JSON ends early")
)

// documents reads JSON documents, each on a line of its own or over many.
// After a broken one it goes on with the next.
func (r *fileReader) documents(ctx context.Context, in *bufio.Reader) error {
	d := documentReader{in: in, line: 1}
	for ctx.Err() == nil {
		document, line, err := d.next()
		if err == io.EOF {
			return nil
		}
		var spans []evidence.Span
		if err == nil {
			spans, err = r.document(document, d.ends)
		} else if !errors.Is(err, errCutShort) {
			return err
		}
		r.take(fmt.Sprintf("line %d", line), spans, err)
	}
	return ctx.Err()
}

// document decodes one JSON document by what it says of itself; ends are those
// of its parts. Lines of metrics and logs are passed over.
func (r *fileReader) document(text []byte, ends []int) ([]evidence.Span, error) {
	head := text[:min(len(text), 4096)]
	has := func(key string) bool { return bytes.Contains(head, []byte(`"`+key+`"`)) }
	switch {
	case has("resourceSpans"), has("batches"), has("result"):
		r.format = "OTLP JSON file"
		return r.builder.otlpJSON(text)
	case has("resourceMetrics"), has("resourceLogs"):
		return nil, nil
	case has("traceID"), has("data"), has("processes"):
		r.format = "Jaeger JSON file"
		spans, err := r.builder.appendJaeger(r.spans[:0], text, ends)
		r.spans = spans
		return spans, err
	case text[0] == '[' && (has("traceId") || len(text) < 8):
		r.format = "Zipkin JSON file"
		return r.builder.zipkinJSON(text)
	}
	return nil, errors.New("the JSON is none of OTLP, Jaeger, Zipkin")
}

// messages reads protobuf: each message after its length in four bytes, most
// significant first, or a single message without one.
func (r *fileReader) messages(ctx context.Context, in *bufio.Reader) error {
	r.format = "OTLP protobuf file"
	if head, _ := in.Peek(4); len(head) == 4 && binary.BigEndian.Uint32(head) > maxMessage {
		return r.bareMessage(in)
	}
	var offset int64
	var buffer bytes.Buffer // grows with what is there, not with what is claimed
	for ctx.Err() == nil {
		message, err := nextMessage(in, &buffer)
		if err == io.EOF {
			return nil
		}
		place := fmt.Sprintf("offset %d", offset)
		offset += 4 + int64(len(message))
		if err != nil {
			r.fail(place, err)
			return nil
		}
		var spans []evidence.Span
		if message, err = unpack(message); err == nil {
			spans, err = r.builder.appendProto(r.spans[:0], string(message))
			r.spans = spans
		}
		r.take(place, spans, err)
	}
	return ctx.Err()
}

// bareMessage reads a file that is one message: its first byte is the tag of
// field 1, so that its first four bytes make no sensible length.
func (r *fileReader) bareMessage(in *bufio.Reader) error {
	message, err := readBounded(in, maxDocument)
	if err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	spans, err := r.builder.otlpProto(message)
	r.take("offset 0", spans, err)
	return nil
}

// nextMessage reads into the buffer.
func nextMessage(in *bufio.Reader, message *bytes.Buffer) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(in, prefix[:]); err == io.EOF {
		return nil, io.EOF
	} else if err != nil {
		return nil, errors.New("the file ends inside a length")
	}
	length := int(binary.BigEndian.Uint32(prefix[:]))
	if length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes is larger than %d MiB", length, maxMessage>>20)
	}
	message.Reset()
	n, err := io.CopyN(message, in, int64(length))
	if err == io.EOF {
		return nil, fmt.Errorf("the file ends %d bytes into a message of %d", n, length)
	}
	return message.Bytes(), err
}

// unpack decompresses a message that the file exporter compressed by itself.
func unpack(message []byte) ([]byte, error) {
	if !bytes.HasPrefix(message, zstdMagic) {
		return message, nil
	}
	in, err := zstd.NewReader(bytes.NewReader(message), zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	defer in.Close()
	out, err := readBounded(in, maxMessage)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return out, nil
}
