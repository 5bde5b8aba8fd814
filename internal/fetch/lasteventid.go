package fetch

import "strings"

// LastEventID returns the header value with which a client asks for the events
// after an id, and whether it sends one. Whitespace at the ends is not part of a
// header's value, so that an id of nothing else becomes an empty one. An id with
// another control byte cannot be sent: net/http does not.
//
// https://fetch.spec.whatwg.org/#concept-header-value-normalize
func LastEventID(id string) (value string, ok bool) {
	value = strings.Trim(id, whitespace)
	return value, id != "" && isValue(value)
}
