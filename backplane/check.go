package backplane

import (
	"fmt"
	"time"
)

// CheckEntry returns what [Log].Append has to return, before anything else, for
// data or an id of a size that is not allowed: an error that wraps
// [ErrSize]. It is nil if the sizes are right.
func CheckEntry(id string, data []byte) error { return check("id", id, data) }

// CheckRecord is for [Store].Swap what [CheckEntry] is for Append.
func CheckRecord(key string, value []byte) error { return check("key", key, value) }

func check(what, name string, data []byte) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", ErrSize, what)
	case len(name) > MaxKey:
		return fmt.Errorf("%w: the %s has %d bytes, allowed are %d", ErrSize, what, len(name), MaxKey)
	case len(data) > MaxData:
		return fmt.Errorf("%w: the data has %d bytes, allowed are %d", ErrSize, len(data), MaxData)
	}
	return nil
}

// RoundTTL returns the time to live that [Store].Swap gives a record: whole
// seconds, rounded up, and 0 for none.
func RoundTTL(ttl time.Duration) time.Duration {
	if ttl <= 0 {
		return 0
	}
	return (ttl + time.Second - 1).Truncate(time.Second)
}
