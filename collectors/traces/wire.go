package traces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// wireField is one field of a protobuf message: text where it is length-
// delimited, number for the others. A message is read as a string, so that its
// parts are views of it and only what is kept is copied.
type wireField struct {
	id     protowire.Number
	text   string
	number uint64
}

var (
	errWire  = errors.New("malformed protobuf")
	errGroup = fmt.Errorf("%w: a group, which none of these formats has", errWire)
)

// nextField reads the field at the start of message.
func nextField(message string) (f wireField, rest string, err error) {
	tag, n := varint(message)
	if f.id = protowire.Number(tag >> 3); n == 0 || f.id <= 0 {
		return f, "", errWire
	}
	message = message[n:]
	switch protowire.Type(tag & 7) {
	case protowire.VarintType:
		f.number, n = varint(message)
	case protowire.Fixed64Type:
		if n = 8; len(message) >= n {
			f.number = eightBytes(message[:8])
		}
	case protowire.Fixed32Type:
		n = 4
	case protowire.BytesType:
		length, k := varint(message)
		if k == 0 || length > uint64(len(message)-k) {
			return f, "", errWire
		}
		f.text, n = message[k:k+int(length)], k+int(length)
	default:
		return f, "", errGroup
	}
	if n <= 0 || n > len(message) {
		return f, "", errWire
	}
	return f, message[n:], nil
}

// varint gives the value and its length, 0 for none.
func varint(s string) (v uint64, n int) {
	for n < len(s) && n < binary.MaxVarintLen64 {
		c := s[n]
		v |= uint64(c&0x7f) << (7 * n)
		n++
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// eachField hands over the fields of a message until one is refused.
func eachField(message string, visit func(wireField) error) error {
	for len(message) > 0 {
		f, rest, err := nextField(message)
		if err != nil {
			return err
		}
		if err := visit(f); err != nil {
			return err
		}
		message = rest
	}
	return nil
}

// anyValue reads OTLP's AnyValue as text; "" for lists, maps and bytes, which
// no kept attribute is.
func anyValue(message string) (text string, err error) {
	for len(message) > 0 {
		f, rest, err := nextField(message)
		if err != nil {
			return "", err
		}
		switch f.id {
		case 1:
			text = f.text
		case 2:
			text = strconv.FormatBool(f.number != 0)
		case 3:
			text = strconv.FormatInt(int64(f.number), 10)
		case 4:
			text = floatText(math.Float64frombits(f.number))
		}
		message = rest
	}
	return text, nil
}

func floatText(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// attribute reads OTLP's KeyValue into f, the value only where it is kept.
func (f *fields) attribute(message string) error {
	var key, value string
	for len(message) > 0 {
		part, rest, err := nextField(message)
		if err != nil {
			return err
		}
		switch part.id {
		case 1:
			key = part.text
		case 2:
			value = part.text
		}
		message = rest
	}
	src, ok := f.wants(key)
	if !ok {
		return nil
	}
	text, err := anyValue(value)
	if err != nil {
		return fmt.Errorf("attribute %q: %w", clean(key, 60), err)
	}
	f.take(src, key, text)
	return nil
}
