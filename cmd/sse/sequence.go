package main

import (
	"strconv"
	"strings"

	"example.org/sse"
)

// A sequence finds gaps and repetitions in the ids of one stream.
type sequence struct {
	epoch        string // "" for plain numbers
	last, newest uint64 // in this epoch, if known
	known        bool
}

// A gap is a pair of ids that followed each other but are not consecutive.
type gap struct {
	epoch    string
	from, to uint64
}

// parseID returns the position that an event's id contains. The id is a number,
// or has this library's form: a random word and a number in base 36.
func parseID(id string) (epoch string, n uint64, ok bool) {
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		return "", n, true
	}
	epoch, offset, found := strings.Cut(id, "-")
	n, err := strconv.ParseUint(offset, 36, 64)
	return epoch, n, found && epoch != "" && err == nil
}

// next takes the next event. It reports whether the event is a repetition, and
// returns the gap before it, if there is one.
//
// An event without an id of its own has the id of the event before it, so an
// unchanged id means nothing. A new epoch means another process: how many events
// were missed in between is unknown.
func (s *sequence) next(e sse.Event) (repeated bool, g gap) {
	epoch, n, ok := parseID(e.ID)
	switch {
	case !ok || s.known && epoch == s.epoch && n == s.last:
		return false, g
	case !s.known || epoch != s.epoch:
		*s = sequence{epoch, n, n, true}
		return false, g
	}
	before := s.newest
	s.last, s.newest = n, max(s.newest, n)
	if n > before+1 {
		g = gap{epoch, before, n}
	}
	return n <= before, g
}
