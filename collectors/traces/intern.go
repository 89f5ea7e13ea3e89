package traces

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxValueBytes    = 1 << 10  // of one kept string; names and attribute values beyond are cut
	maxInternedBytes = 32 << 20 // of all of them
)

// interner keeps one clean copy of every string, so that a million spans of a
// hundred operations hold a hundred names. Past its cap it still cleans, but
// no longer shares: spans then cost more, and nothing else changes.
type interner struct {
	seen  map[string]string
	bytes int
}

func newInterner() *interner { return &interner{seen: map[string]string{}} }

func (n *interner) get(s string) string {
	if s == "" {
		return ""
	}
	if kept, ok := n.seen[s]; ok {
		return kept
	}
	kept := clean(s, maxValueBytes)
	if n.bytes += len(s) + len(kept); n.bytes <= maxInternedBytes {
		n.seen[strings.Clone(s)] = kept
	}
	return kept
}

// clean gives a copy of s that is valid UTF-8 without control characters and
// has at most limit bytes: what a terminal or a page may show.
func clean(s string, limit int) string {
	if len(s) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.Clone(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s))
}
