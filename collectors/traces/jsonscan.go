package traces

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// jsonScanner walks a JSON text and gives views of it; only strings with
// escapes are copied. It checks no more than it needs to find its way: what it
// passes over may be malformed. After an error every call does nothing.
type jsonScanner struct {
	text string
	pos  int
	err  error
}

func (s *jsonScanner) fail(what string) {
	if s.err != nil {
		return
	}
	if s.pos >= len(s.text) {
		s.err = fmt.Errorf("the JSON ends early, after %d bytes", len(s.text))
		return
	}
	s.err = fmt.Errorf("the JSON is malformed at byte %d: %s", s.pos, what)
}

// next gives the first byte of the next token, 0 after an error.
func (s *jsonScanner) next() byte {
	for s.err == nil && s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	s.fail("")
	return 0
}

func (s *jsonScanner) expect(c byte) bool {
	if s.next() != c || s.err != nil {
		s.fail(fmt.Sprintf("%q expected", c))
		return false
	}
	s.pos++
	return true
}

// object calls visit for every key; visit reads the value. null has no keys.
func (s *jsonScanner) object(visit func(key string)) {
	s.list('{', '}', func() {
		key := s.string()
		if s.expect(':') {
			visit(key)
		}
	})
}

// array calls visit for every item, which reads it. null has no items.
func (s *jsonScanner) array(visit func()) { s.list('[', ']', visit) }

func (s *jsonScanner) list(open, end byte, item func()) {
	if s.next() == 'n' {
		s.skip()
		return
	}
	if !s.expect(open) {
		return
	}
	if s.next() == end {
		s.pos++
		return
	}
	for s.err == nil {
		item()
		switch s.next() {
		case ',':
			s.pos++
		case end:
			s.pos++
			return
		default:
			s.fail("a comma or an end expected")
		}
	}
}

// raw measures a string at the position, quotes included.
func (s *jsonScanner) raw() string {
	if s.next() != '"' {
		s.fail("a string expected")
		return `""`
	}
	start, at := s.pos, s.pos+1
	for {
		end := strings.IndexByte(s.text[at:], '"')
		if end < 0 {
			s.pos = len(s.text)
			s.fail("")
			return `""`
		}
		at += end + 1
		if !escapes(s.text[start+1 : at-1]) {
			s.pos = at
			return s.text[start:at]
		}
	}
}

// escapes reports whether a text escapes what follows it: it ends in an odd
// number of backslashes.
func escapes(text string) bool {
	n := len(text)
	for n > 0 && text[n-1] == '\\' {
		n--
	}
	return (len(text)-n)%2 == 1
}

func (s *jsonScanner) string() string {
	raw := s.raw()
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var text string
	if json.Unmarshal([]byte(raw), &text) != nil {
		s.fail("a string with a wrong escape")
	}
	return text
}

// scalar reads a string, number or boolean as text; "" for all else.
func (s *jsonScanner) scalar() string {
	switch s.next() {
	case '"':
		return s.string()
	case '{', '[', 'n', 0:
		s.skip()
		return ""
	}
	start := s.pos
	s.skip()
	return s.text[start:s.pos]
}

// integer reads a whole number, bare or in quotes; 0 for all else.
func (s *jsonScanner) integer() int64 {
	n, err := strconv.ParseInt(s.scalar(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// skip passes over one value.
func (s *jsonScanner) skip() {
	switch c := s.next(); {
	case s.err != nil:
	case c == '"':
		s.raw()
	case c == '{' || c == '[':
		s.skipNested()
	default:
		s.word()
	}
}

// skipNested passes over an object or a list by its brackets alone.
func (s *jsonScanner) skipNested() {
	for depth := 0; s.err == nil; {
		at := s.pos
		for at < len(s.text) && !stopsOutside[s.text[at]] {
			at++
		}
		if s.pos = at; at >= len(s.text) {
			s.fail("")
			return
		}
		switch s.text[at] {
		case '"':
			s.raw()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.pos++; depth == 0 {
			return
		}
	}
}

// word passes over a number, true, false or null.
func (s *jsonScanner) word() {
	start := s.pos
	for s.pos < len(s.text) && isWord[s.text[s.pos]] {
		s.pos++
	}
	if s.pos == start {
		s.fail("a value expected")
	}
}

var isWord = byteSet("+-.0123456789aeEflnrstu")
