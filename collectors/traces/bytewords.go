package traces

import "math/bits"

const (
	eachByte = 0x0101010101010101
	topBits  = 0x80 * eachByte
)

// special gives the place of the first byte from at on that means something
// within a JSON string or ends it, a quote, a backslash or a line break; the
// length of the text for none. Eight bytes are looked at together.
func special[T string | []byte](text T, at int) int {
	for ; at+8 <= len(text); at += 8 {
		word := eightBytes(text[at : at+8])
		if found := zeros(word^'"'*eachByte) | zeros(word^'\\'*eachByte) | zeros(word^'\n'*eachByte); found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for at < len(text) && !stopsInside[text[at]] {
		at++
	}
	return at
}

// zeros marks, by its highest bit, the first byte of a word that is zero; what
// it says of the bytes after that one may be wrong.
func zeros(word uint64) uint64 { return (word - eachByte) &^ word & topBits }

// eightBytes as a number, the first the least: compiled to one load.
func eightBytes[T string | []byte](s T) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
