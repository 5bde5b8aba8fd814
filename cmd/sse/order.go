package main

import (
	"strconv"
	"strings"

	"example.org/sse"
)

// An order follows the ids of one stream.
type order struct {
	epoch      string // "" for plain numbers
	last, most uint64 // of that epoch, if known
	known      bool
}

// A jump is a pair of ids that followed one another, and are not consecutive.
type jump struct {
	epoch    string
	from, to uint64
}

// parseID returns the place of an event that its id tells: a number, or what
// this library makes, a random word and a number in base 36.
func parseID(id string) (epoch string, n uint64, ok bool) {
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		return "", n, true
	}
	epoch, offset, found := strings.Cut(id, "-")
	n, err := strconv.ParseUint(offset, 36, 64)
	return epoch, n, found && epoch != "" && err == nil
}

// next takes the next event's id. It returns whether the event was here before,
// and the jump to it, if it is one.
//
// An event without an id of its own has that of the one before, so the same id
// again tells nothing. Another epoch is another process: what was missed on the
// way to it nobody can tell.
func (o *order) next(e sse.Event) (repeated bool, j jump) {
	epoch, n, ok := parseID(e.ID)
	switch {
	case !ok || o.known && epoch == o.epoch && n == o.last:
		return false, j
	case !o.known || epoch != o.epoch:
		*o = order{epoch, n, n, true}
		return false, j
	}
	before := o.most
	o.last, o.most = n, max(o.most, n)
	if n > before+1 {
		j = jump{epoch, before, n}
	}
	return n <= before, j
}
