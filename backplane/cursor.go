package backplane

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// A Cursor identifies an entry of a log. The zero value is [Oldest].
type Cursor struct {
	Seq   uint64 // the entry's number: 1 for the first, one more for each that follows
	Nonce uint32 // derived from the entry, see [CursorOf]
}

// Positions in a log that are not entries.
var (
	Oldest Cursor                        // before the oldest entry that is kept
	Newest = Cursor{Seq: math.MaxUint64} // after the newest entry
)

// CursorOf returns the cursor of an entry from its number and the id that it was appended
// with. The nonce is the beginning of the id's SHA-256: it protects against mistakes, and
// is not a secret.
func CursorOf(seq uint64, id string) Cursor {
	sum := sha256.Sum256([]byte(id))
	return Cursor{Seq: seq, Nonce: binary.BigEndian.Uint32(sum[:])}
}

// String returns the cursor in a form that can be an event's id: number and nonce in base
// 36, with a dot between them.
func (c Cursor) String() string { return string(c.AppendTo(nil)) }

// AppendTo appends the cursor, in the form that String returns, to b.
func (c Cursor) AppendTo(b []byte) []byte {
	b = strconv.AppendUint(b, c.Seq, 36)
	b = append(b, '.')
	return strconv.AppendUint(b, uint64(c.Nonce), 36)
}

// ParseCursor parses the form that String returns; ok is false if s is not a cursor.
func ParseCursor(s string) (c Cursor, ok bool) {
	number, nonce, ok := strings.Cut(s, ".")
	if !ok {
		return Cursor{}, false
	}
	seq, err := strconv.ParseUint(number, 36, 64)
	if err != nil || seq == 0 || seq == math.MaxUint64 {
		return Cursor{}, false
	}
	n, err := strconv.ParseUint(nonce, 36, 32)
	if err != nil {
		return Cursor{}, false
	}
	c = Cursor{Seq: seq, Nonce: uint32(n)}
	return c, c.String() == s // only the form of String: no upper case, no leading zeros
}
