package prometheus

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var errEarlyEnd = errors.New("the answer ended early (truncated JSON)")

// scanner walks JSON from the wire in one pass, holding no more of it than its
// buffer. It checks syntax only as far as it walks.
type scanner struct {
	in      io.Reader
	buf     []byte
	r, w    int
	err     error  // what the reader said after the last byte
	scratch []byte // the last string that was unescaped
	key     []byte // the last key: its place in buf is lost when the colon is read
	depth   int
}

// maxDepth bounds the recursion of skip on hostile answers.
const maxDepth = 64

func newScanner(in io.Reader) *scanner { return &scanner{in: in, buf: make([]byte, 64<<10)} }

// ensure makes n bytes available from r on, or as many as there are.
func (s *scanner) ensure(n int) bool {
	for s.w-s.r < n && s.err == nil {
		s.refill()
	}
	return s.w-s.r >= n
}

func (s *scanner) refill() {
	if s.r > 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if s.w == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	n, err := s.in.Read(s.buf[s.w:])
	s.w += n
	s.err = err
}

// fail says why there is no further byte.
func (s *scanner) fail() error {
	if s.err == nil || errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) {
		return errEarlyEnd
	}
	return s.err
}

// peek gives the next byte that is not white space, without taking it.
func (s *scanner) peek() (byte, error) {
	for {
		for s.r < s.w {
			switch c := s.buf[s.r]; c {
			case ' ', '\t', '\r', '\n':
				s.r++
			default:
				return c, nil
			}
		}
		if !s.ensure(1) {
			return 0, s.fail()
		}
	}
}

func (s *scanner) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("malformed JSON: %q where %q belongs", c, want)
	}
	s.r++
	return nil
}

// more steps over the comma before another element, or over the closing byte.
func (s *scanner) more(closing byte, first bool) (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == closing:
		s.r++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, fmt.Errorf("malformed JSON: %q where ',' or %q belongs", c, closing)
	}
	s.r++
	return true, nil
}

// array calls each for every element, which each must consume.
func (s *scanner) array(each func() error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		ok, err := s.more(']', first)
		if err != nil || !ok {
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
}

// object calls each for every key; each must consume the value. The key is
// valid only until then.
func (s *scanner) object(each func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		ok, err := s.more('}', first)
		if err != nil || !ok {
			return err
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		s.key = append(s.key[:0], key...)
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := each(s.key); err != nil {
			return err
		}
	}
}

// str reads a string; the bytes are valid until the next call.
func (s *scanner) str() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	for i := 0; ; i++ {
		if s.r+i >= s.w && !s.ensure(i+1) {
			return nil, s.fail()
		}
		switch s.buf[s.r+i] {
		case '"':
			out := s.buf[s.r : s.r+i]
			s.r += i + 1
			return out, nil
		case '\\':
			return s.escaped(i)
		}
	}
}

// escaped reads on, after i plain bytes, a string that holds an escape.
func (s *scanner) escaped(i int) ([]byte, error) {
	s.scratch = append(s.scratch[:0], s.buf[s.r:s.r+i]...)
	s.r += i
	for {
		if !s.ensure(1) {
			return nil, s.fail()
		}
		c := s.buf[s.r]
		s.r++
		switch c {
		case '"':
			return s.scratch, nil
		case '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.scratch = append(s.scratch, c)
		}
	}
}

func (s *scanner) escape() error {
	if !s.ensure(1) {
		return s.fail()
	}
	c := s.buf[s.r]
	s.r++
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return s.unicode()
	default:
		return fmt.Errorf("malformed JSON: unknown escape \\%c", c)
	}
	s.scratch = append(s.scratch, c)
	return nil
}

func (s *scanner) unicode() error {
	r, err := s.hex4()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		low := rune(utf8.RuneError)
		if s.ensure(2) && s.buf[s.r] == '\\' && s.buf[s.r+1] == 'u' {
			s.r += 2
			if low, err = s.hex4(); err != nil {
				return err
			}
		}
		r = utf16.DecodeRune(r, low)
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return nil
}

func (s *scanner) hex4() (rune, error) {
	if !s.ensure(4) {
		return 0, s.fail()
	}
	v, err := strconv.ParseUint(string(s.buf[s.r:s.r+4]), 16, 32)
	if err != nil {
		return 0, fmt.Errorf("malformed JSON: bad \\u escape")
	}
	s.r += 4
	return rune(v), nil
}

// number reads a bare number.
func (s *scanner) number() (float64, error) {
	if _, err := s.peek(); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(s.bare()), 64)
}

// bare takes the bytes up to the next delimiter.
func (s *scanner) bare() []byte {
	for i := 0; ; i++ {
		if s.r+i >= s.w && !s.ensure(i+1) {
			out := s.buf[s.r : s.r+i]
			s.r += i
			return out
		}
		switch s.buf[s.r+i] {
		case ',', ']', '}', ' ', '\n', '\r', '\t', ':':
			out := s.buf[s.r : s.r+i]
			s.r += i
			return out
		}
	}
}

// skip steps over any value.
func (s *scanner) skip() error {
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("malformed JSON: nested deeper than %d", maxDepth)
	}
	defer func() { s.depth-- }()
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, err = s.str()
		return err
	}
	if len(s.bare()) == 0 {
		return fmt.Errorf("malformed JSON: unexpected %q", c)
	}
	return nil
}
