package traces

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// jsonScanner walks a JSON text and gives views of it; only strings with
// escapes are copied. It checks no more than it needs to find its way: what it
// passes over may be malformed. After an error every call does nothing.
type jsonScanner struct {
	text string
	pos  int
	err  error
	ends []int // of the lists and objects right inside the text, where known
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

// raw measures a string at the position, quotes included, and says whether
// anything in it is escaped.
func (s *jsonScanner) raw() (text string, escaped bool) {
	if s.next() != '"' {
		s.fail("a string expected")
		return `""`, false
	}
	start := s.pos
	for at := start + 1; ; at++ {
		at = special(s.text, at)
		switch {
		case at >= len(s.text):
			s.pos = len(s.text)
			s.fail("")
			return `""`, false
		case s.text[at] == '"':
			s.pos = at + 1
			return s.text[start:s.pos], escaped
		case s.text[at] == '\\':
			escaped = true
			at++
		}
	}
}

func (s *jsonScanner) string() string {
	raw, escaped := s.raw()
	if !escaped {
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

// skipPart is skip for a value right inside the text: where its end is known
// it need not be looked for.
func (s *jsonScanner) skipPart() {
	if c := s.next(); c == '[' || c == '{' {
		for _, end := range s.ends {
			if end > s.pos {
				s.pos = end
				return
			}
		}
	}
	s.skip()
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
