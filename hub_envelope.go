package sse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"example.org/sse/backplane"
)

// An envelope is an event of a set as a shared log has it: a version, and then the
// set's name and the event's parts, each after its length. Processes that do not
// know a version skip the event, and count it all the same: they can be replaced
// one by one.
const envelopeVersion = 1

// markVersion is the version of an entry that is no event, see [Hub.Mark].
const markVersion = 0

// maxSetName is how many bytes the name of a set on a shared log may have.
const maxSetName = 1 << 10

var errEnvelope = errors.New("sse: not an event of a hub")

// seal returns the event for the set of that name, as it is appended to a log.
func seal(name string, e Event) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if len(name) > maxSetName {
		return nil, fmt.Errorf("%w: the set's name is %d bytes long, limit %d", ErrInvalidEvent, len(name), maxSetName)
	}
	parts := [...]string{name, e.Type, e.ID, e.Data}
	size := 1 + binary.MaxVarintLen64
	for _, part := range parts {
		size += binary.MaxVarintLen64 + len(part)
	}
	if size > backplane.MaxData {
		return nil, fmt.Errorf("%w: %d bytes with the set's name, limit of a log %d", ErrTooLarge, size, backplane.MaxData)
	}
	b := append(make([]byte, 0, size), envelopeVersion)
	b = binary.AppendUvarint(b, uint64(e.Retry/time.Nanosecond)) //nolint:gosec // check has found it not to be negative
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b, nil
}

// unseal returns what seal was given.
func unseal(b []byte) (name string, e Event, err error) {
	if len(b) == 0 || b[0] != envelopeVersion {
		return "", e, errEnvelope
	}
	retry, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return "", e, errEnvelope
	}
	e.Retry = time.Duration(retry) //nolint:gosec // checked below
	b = b[1+n:]
	for _, part := range []*string{&name, &e.Type, &e.ID, &e.Data} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return "", e, errEnvelope
		}
		*part = string(b[n : n+int(size)]) //nolint:gosec // not more than len(b)
		b = b[n+int(size):]                //nolint:gosec // as before
	}
	if len(b) > 0 || e.check() != nil {
		return "", e, errEnvelope
	}
	return name, e, nil
}
