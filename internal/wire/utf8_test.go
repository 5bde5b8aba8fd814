package wire_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"example.org/sse/internal/wire"
)

// Unicode 16, table 3-7, and what its rows begin with, over one code point for
// each byte.
var (
	wellFormed = regexp.MustCompile(`^(?s:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|` +
		`\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})`)
	subpart = regexp.MustCompile(`^(?s:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f]|` +
		`\xf0[\x90-\xbf][\x80-\xbf]?|[\xf1-\xf3][\x80-\xbf]{1,2}|\xf4[\x80-\x8f][\x80-\xbf]?|.)`)
)

// replaced returns s with each maximal subpart replaced, by the table.
func replaced(s string) string {
	var points []rune
	for _, c := range []byte(s) {
		points = append(points, rune(c))
	}
	var b strings.Builder
	for at := 0; at < len(s); {
		if n := len([]rune(wellFormed.FindString(string(points[at:])))); n > 0 {
			b.WriteString(s[at : at+n])
			at += n
		} else {
			b.WriteRune(utf8.RuneError)
			at += len([]rune(subpart.FindString(string(points[at:]))))
		}
	}
	return b.String()
}

func FuzzValidUTF8(f *testing.F) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"a\u00e9\u20ac\U0001F600\uFFFD\x00", "a\u00e9\u20ac\U0001F600\uFFFD\x00"},
		{"\xE2\x82x", "\uFFFDx"},
		{"\xF0\x9F\x98\xF0\x9F\x98\x80", "\uFFFD\U0001F600"},
		{"\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80", strings.Repeat("\uFFFD", 9)},
		{"\xE0\x80\xF0\x80\x80\xF5", strings.Repeat("\uFFFD", 6)},
		{"\xE0\xA0\xF4\x8F\xBF\xED\x9F", strings.Repeat("\uFFFD", 3)},
		{"\xC2", "\uFFFD"},
		{"\xff\xfe", "\uFFFD\uFFFD"},
	} {
		if got := wire.ValidUTF8(tt.in); got != tt.want {
			f.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := wire.ValidUTF8(in)
		if want := replaced(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
		if !utf8.ValidString(got) {
			t.Fatalf("%q: got %q, which is ill-formed", in, got)
		}
	})
}

// All sequences of up to four bytes at the edges of the table's ranges.
func TestValidUTF8(t *testing.T) {
	lead := []byte("\x00\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff")
	trail := []byte("\x7f\x80\xbf\xc2") // the later bytes have one range for all sequences
	edges := [][]byte{lead, lead, trail, trail}
	var try func(s string)
	try = func(s string) {
		if got, want := wire.ValidUTF8(s), replaced(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
		if len(s) == len(edges) {
			return
		}
		for _, c := range edges[len(s)] {
			try(s + string([]byte{c}))
		}
	}
	try("")
}
