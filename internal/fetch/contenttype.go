// Package fetch decides as browsers do which responses are event streams and
// what they send as Last-Event-ID. Both follow the Fetch standard
// (https://fetch.spec.whatwg.org/). It knows headers, and nothing of streams.
package fetch

import (
	"net/http"
	"strings"
)

const (
	token      = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // RFC 9110, section 5.6.2
	whitespace = "\t\n\r "
)

// IsEventStream reports whether the Content-Type of a response is that of an event
// stream: text/event-stream, without a charset or with "utf-8". Chromium refuses
// other charsets. Firefox does not, but reads the stream as UTF-8 all the same, so
// that a server which means another one is wrong in either.
//
// It is the standard's "extract a MIME type": of several values in one or more
// headers the last valid one counts, and the first of several charsets.
//
// https://fetch.spec.whatwg.org/#concept-header-extract-mime-type
func IsEventStream(h http.Header) bool {
	var last mediaType
	var charset string // of the values before that have the same essence
	for _, value := range split(strings.Join(h.Values("Content-Type"), ", ")) {
		m, ok := parse(value)
		switch {
		case !ok || m.essence == "*/*":
			continue
		case m.essence != last.essence:
			charset = m.charset
		case !m.hasCharset:
			m.charset = charset
		}
		last = m
	}
	label := strings.Trim(last.charset, whitespace)
	return last.essence == "text/event-stream" && (label == "" || strings.EqualFold(label, "utf-8"))
}

// split returns the values of a list. A comma in a quoted string separates none.
//
// https://fetch.spec.whatwg.org/#header-value-get-decode-and-split
func split(list string) (values []string) {
	start := 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '"':
			_, rest := quoted(list[i:])
			i = len(list) - len(rest) - 1
		case ',':
			values = append(values, list[start:i])
			start = i + 1
		}
	}
	return append(values, list[start:])
}

// A mediaType is what matters of a MIME type.
type mediaType struct {
	essence    string // in lower case
	charset    string
	hasCharset bool
}

// parse parses a MIME type.
//
// https://mimesniff.spec.whatwg.org/#parsing-a-mime-type
func parse(s string) (m mediaType, ok bool) {
	s = strings.Trim(s, whitespace)
	essence, parameters, _ := strings.Cut(s, ";")
	essence = strings.TrimRight(essence, whitespace)
	typ, subtype, ok := strings.Cut(essence, "/")
	if !ok || !isToken(typ) || !isToken(subtype) {
		return m, false
	}
	m.essence = strings.ToLower(essence)
	for parameters != "" {
		var name, value string
		var valid bool
		name, value, valid, parameters = parameter(strings.TrimLeft(parameters, whitespace))
		if valid && !m.hasCharset && strings.ToLower(name) == "charset" {
			m.charset, m.hasCharset = value, true
		}
	}
	return m, true
}

func isToken(s string) bool { return s != "" && strings.Trim(s, token) == "" }

// parameter returns the first of a MIME type's parameters, and what follows its
// semicolon.
func parameter(s string) (name, value string, valid bool, rest string) {
	i := strings.IndexAny(s, ";=")
	if i < 0 {
		return s, "", false, ""
	}
	name, rest = s[:i], s[i+1:]
	if s[i] == ';' {
		return name, "", false, rest
	}
	if strings.HasPrefix(rest, `"`) {
		value, rest = quoted(rest)
		_, rest, _ = strings.Cut(rest, ";")
		return name, value, isValue(value), rest
	}
	value, rest, _ = strings.Cut(rest, ";")
	value = strings.TrimRight(value, whitespace)
	return name, value, value != "" && isValue(value), rest
}

// isValue reports whether a parameter may have the value.
func isValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f })
}

// quoted returns the value of the quoted string that s begins with, which may lack
// its end, and what follows it.
//
// https://fetch.spec.whatwg.org/#collect-an-http-quoted-string
func quoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				b.WriteByte('\\')
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
