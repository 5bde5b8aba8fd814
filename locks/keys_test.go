package locks_test

import (
	"errors"
	"strings"
	"testing"

	"example.org/sse/locks"
)

// A key is any value that survives a JSON round trip.
func TestKeys(t *testing.T) {
	type pair struct {
		Kind string
		ID   int
	}
	type hidden struct{ id int }
	bubble(t, func(t *testing.T, s *site, _ *locks.Table[int]) {
		ann := s.open("ann")
		for _, tt := range []struct {
			name string
			err  error
			want error
		}{
			{"text", takeOne(t, s, ann, "a/b c\n\x00ü"), nil},
			{"empty text", takeOne(t, s, ann, ""), nil},
			{"struct", takeOne(t, s, ann, pair{"card", 7}), nil},
			{"no UTF-8", takeOne(t, s, ann, "\xff"), locks.ErrInvalidKey},
			{"unexported", takeOne(t, s, ann, hidden{7}), locks.ErrInvalidKey},
			{"0.0", takeOne(t, s, ann, 0.0), locks.ErrInvalidKey},
			{"any of a float", takeOne(t, s, ann, any(struct{ X [2]any }{[2]any{1, -0.5}})), locks.ErrInvalidKey},
			{"channel", takeOne(t, s, ann, make(chan int)), locks.ErrInvalidKey},
			{"382 bytes", takeOne(t, s, ann, strings.Repeat("x", 382)), nil},
			{"383 bytes", takeOne(t, s, ann, strings.Repeat("x", 383)), locks.ErrInvalidKey},
			{"1 MiB", takeOne(t, s, ann, strings.Repeat("x", 1<<20)), locks.ErrInvalidKey},
		} {
			if !errors.Is(tt.err, tt.want) || tt.err != nil && tt.want == nil {
				t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
			}
			if tt.err != nil && len(tt.err.Error()) > 200 {
				t.Errorf("%s: got an error text of %d bytes, want at most 200", tt.name, len(tt.err.Error()))
			}
		}
	})
}

// takeOne takes and releases one lock in a table of its own.
func takeOne[K comparable](t *testing.T, s *site, p *page, key K) error {
	table := locks.Table[K]{Presence: s.tracker}
	defer table.Close()
	l, err := table.Take(t.Context(), p.Session, key)
	want := 1
	if err != nil {
		want = 0
	}
	if got := countHeld(&table); l.Key != key || got != want {
		t.Errorf("%.40v: got the lock %.100v, %d held; want %d", key, l, got, want)
	}
	if err == nil {
		_, err = table.Release(t.Context(), p.Session, key)
	}
	return err
}
