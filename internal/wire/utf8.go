package wire

import (
	"strings"
	"unicode/utf8"
)

// ValidUTF8 returns s with each maximal subpart of an ill-formed sequence
// replaced by U+FFFD, as a browser's decoder does
// (https://encoding.spec.whatwg.org/#utf-8-decoder; Unicode 16, section 3.9).
// strings.ToValidUTF8 would replace a whole run of them by one U+FFFD.
func ValidUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			n = maximalSubpart(s)
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// maximalSubpart returns the length of the ill-formed sequence at the beginning
// of s: of the longest prefix that a well-formed sequence could begin with, or
// one byte.
func maximalSubpart(s string) int {
	n := 1
	for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
		n++
	}
	return n
}
