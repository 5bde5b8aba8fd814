package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
)

// A reader follows a log.
type reader struct {
	mu      sync.Mutex
	data    []string
	last    backplane.Cursor // its
	ended   chan struct{}
	err     error // once ended
	changed chan struct{}
}

func read(t *testing.T, l backplane.Log, after backplane.Cursor) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &reader{ended: make(chan struct{}), changed: make(chan struct{}, 1)}
	go func() {
		defer close(r.ended)
		r.err = l.Follow(ctx, after, func(batch []backplane.Entry, _ bool) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, e := range batch {
				r.data, r.last = append(r.data, string(e.Data)), e.Cursor
			}
			select {
			case r.changed <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-r.ended })
	return r
}

// has waits until the reader has exactly these entries.
func (r *reader) has(t *testing.T, want []string) {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		got := strings.Join(r.data, " ")
		r.mu.Unlock()
		if got == strings.Join(want, " ") {
			return
		}
		select {
		case <-r.changed:
		case <-r.ended:
			t.Fatalf("Follow ended: %v", r.err)
		case <-late:
			t.Fatalf("entries are %.500s, want %.500s", got, strings.Join(want, " "))
		}
	}
}

// gap waits for the end, which must be a gap.
func (r *reader) gap(t *testing.T) {
	t.Helper()
	select {
	case <-r.ended:
		if !errors.Is(r.err, backplane.ErrGap) {
			t.Errorf("Follow returned %v, want ErrGap", r.err)
		}
	case <-time.After(patience):
		t.Errorf("no gap within %v", patience)
	}
}

// add appends entries, and returns their data.
func add(t *testing.T, l backplane.Log, prefix string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var data []string
	for i := range n {
		d := fmt.Sprint(prefix, i)
		if _, err := l.Append(ctx, d, []byte(d)); err != nil {
			t.Fatal(err)
		}
		data = append(data, d)
	}
	return data
}
