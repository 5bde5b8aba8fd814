package main

import (
	"math"
	"strconv"
	"strings"
	"time"

	"example.org/sse"
)

// A sequence finds gaps and repetitions in the ids of one stream.
type sequence struct {
	epoch        string // "" for plain numbers
	last, newest uint64 // in this epoch, if known
	known        bool

	steps
}

// Steps count how ids follow each other. They show whether ids are consecutive: only
// then is an id that is missing an event that is missing.
type steps struct {
	next  int64 // by one
	jumps int64 // by more
	turns int64 // to another epoch
}

func (s *steps) add(other steps) {
	s.next += other.next
	s.jumps += other.jumps
	s.turns += other.turns
}

// A gap is a pair of ids that followed each other but are not consecutive.
type gap struct {
	epoch    string
	from, to uint64
}

// parseID returns the position that an event's id contains. The id is a number that is
// not a time, or has this library's form: a random word and a number in base 36.
func parseID(id string) (epoch string, n uint64, ok bool) {
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		_, isTime := timeOf(id, time.Now())
		return "", n, !isTime && time.Since(time.Unix(int64(min(n, math.MaxInt64)), 0)).Abs() > time.Hour
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
		if s.known {
			s.turns++
		}
		s.epoch, s.last, s.newest, s.known = epoch, n, n, true
		return false, g
	}
	before := s.newest
	s.last, s.newest = n, max(s.newest, n)
	switch {
	case n > before+1:
		s.jumps++
		g = gap{epoch, before, n}
	case n == before+1:
		s.steps.next++
	}
	return n <= before, g
}

// id returns an id with a position of the gap's epoch.
func (g gap) id(n uint64) string {
	if g.epoch == "" {
		return strconv.FormatUint(n, 10)
	}
	return g.epoch + "-" + strconv.FormatUint(n, 36)
}
