package backplane

import (
	"fmt"
	"time"
)

// CheckEntry returns an error that wraps [ErrSize] if the size of the id or of the data is
// not allowed, and nil otherwise. Implementations of [Log] call it first in Append.
func CheckEntry(id string, data []byte) error { return check("id", id, data) }

// CheckRecord is like [CheckEntry], for the key and the value of [Store].Swap.
func CheckRecord(key string, value []byte) error { return check("key", key, value) }

func check(what, name string, data []byte) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", ErrSize, what)
	case len(name) > MaxKey:
		return fmt.Errorf("%w: the %s is %d bytes long, limit %d", ErrSize, what, len(name), MaxKey)
	case len(data) > MaxData:
		return fmt.Errorf("%w: the data is %d bytes long, limit %d", ErrSize, len(data), MaxData)
	}
	return nil
}

// RoundTTL returns the time to live that [Store].Swap gives a record: ttl rounded up to
// whole seconds, or 0 for a record that does not expire.
func RoundTTL(ttl time.Duration) time.Duration {
	if ttl <= 0 {
		return 0
	}
	return (ttl + time.Second - 1).Truncate(time.Second)
}
