package wire

import (
	"strings"
	"unicode/utf8"
)

// ValidUTF8 returns s with each maximal subpart of an ill-formed sequence
// replaced by U+FFFD: what a browser would make of it, whose decoder counts so
// (https://encoding.spec.whatwg.org/#utf-8-decoder; Unicode 16, section 3.9).
// strings.ToValidUTF8 makes one of a whole run instead.
func ValidUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			n = illFormed(s)
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// illFormed returns the length of the maximal subpart that s begins with: the
// longest start of a well-formed sequence, or one byte. (Unicode 16, table 3-7.)
func illFormed(s string) int {
	low, high, need := byte(0x80), byte(0xBF), 0
	switch c := s[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		if c == 0xE0 {
			low = 0xA0 // below: overlong
		} else if c == 0xED {
			high = 0x9F // above: surrogates
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			low = 0x90 // below: overlong
		} else if c == 0xF4 {
			high = 0x8F // above: beyond U+10FFFF
		}
	}
	n := 1
	for n <= need && n < len(s) && s[n] >= low && s[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}
