package sse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"example.org/sse/backplane"
)

// An envelope is an entry of a shared log: its kind, and then the set's name and an
// event's parts, each after its length. Processes that do not know a kind skip the
// entry, and count it all the same: they can be replaced one by one.
type envelope struct {
	kind byte
	set  string // its name
	Event
}

// The kinds of envelopes.
const (
	markKind     = 0 // nothing, and followers pass over it; see [Hub.Mark]
	dispatchKind = 1 // an event of the set
	closeKind    = 2 // the set's members end, with the event unless it is the zero one
)

// maxSetName is how many bytes the name of a set on a shared log may have.
const maxSetName = 1 << 10

var errEnvelope = errors.New("sse: not an event of a hub")

// seal returns the envelope as it is appended to a log.
func (v envelope) seal() ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	if len(v.set) > maxSetName {
		return nil, fmt.Errorf("%w: the set's name is %d bytes long, limit %d", ErrInvalidEvent, len(v.set), maxSetName)
	}
	parts := [...]string{v.set, v.Type, v.ID, v.Data}
	size := 1 + binary.MaxVarintLen64
	for _, part := range parts {
		size += binary.MaxVarintLen64 + len(part)
	}
	if size > backplane.MaxData {
		return nil, fmt.Errorf("%w: %d bytes with the set's name, limit of a log %d", ErrTooLarge, size, backplane.MaxData)
	}
	b := append(make([]byte, 0, size), v.kind)
	b = binary.AppendUvarint(b, uint64(v.Retry/time.Nanosecond)) //nolint:gosec // check has found it not to be negative
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b, nil
}

// unseal returns what was sealed.
func unseal(b []byte) (v envelope, err error) {
	if len(b) == 0 || b[0] != dispatchKind && b[0] != closeKind {
		return v, errEnvelope
	}
	v.kind = b[0]
	retry, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return v, errEnvelope
	}
	v.Retry = time.Duration(retry) //nolint:gosec // checked below
	b = b[1+n:]
	for _, part := range []*string{&v.set, &v.Type, &v.ID, &v.Data} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return v, errEnvelope
		}
		*part = string(b[n : n+int(size)]) //nolint:gosec // not more than len(b)
		b = b[n+int(size):]                //nolint:gosec // as before
	}
	if len(b) > 0 || v.check() != nil {
		return v, errEnvelope
	}
	return v, nil
}
