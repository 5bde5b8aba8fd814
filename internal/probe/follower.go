// Package probe follows logs and watches stores in the tests of their implementations: it
// waits for what must come, and fails the test if something else comes.
package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
)

// Patience is a guard against hangs: the machine may be busy.
const Patience = 2 * time.Minute

// Within returns a context for one thing that must happen.
func Within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Numbered returns prefix1, prefix2 and so on.
func Numbered(prefix string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(prefix, i+1))
	}
	return texts
}

// Append appends an entry for each text, as both id and data, and returns the last cursor.
func Append(t testing.TB, l backplane.Log, texts ...string) (c backplane.Cursor) {
	t.Helper()
	var err error
	for _, text := range texts {
		if c, err = l.Append(Within(t, Patience), text, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Prompt fails the test unless one of several attempts of f takes less than limit. On a busy
// machine any of them may take longer, but an f that waits for a timer or a server always does.
func Prompt(t testing.TB, limit time.Duration, what string, f func() time.Duration) {
	t.Helper()
	fastest := f()
	for attempt := 1; attempt < 10 && fastest >= limit; attempt++ {
		fastest = min(fastest, f())
	}
	if fastest >= limit {
		t.Errorf("%s takes %v, want less than %v", what, fastest, limit)
	}
}

var errEnough = errors.New("enough")

// Read returns the data of at least n entries after the cursor, or the error of Follow.
func Read(t testing.TB, l backplane.Log, after backplane.Cursor, n int) (texts []string, err error) {
	t.Helper()
	err = l.Follow(Within(t, Patience), after, func(batch []backplane.Entry, _ bool) error {
		for _, e := range batch {
			texts = append(texts, string(e.Data))
		}
		if len(texts) >= n {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return texts, err
}

// A state is guarded, and can be waited for.
type state struct {
	t       testing.TB
	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, with every change
	ended   bool
	err     error // of Follow or Watch
	stop    context.CancelFunc
}

// run calls f until the test ends.
func (s *state) run(t testing.TB, f func(context.Context) error) {
	s.t, s.changed = t, make(chan struct{})
	var ctx context.Context
	ctx, s.stop = context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { s.stop(); <-done })
	go func() {
		defer close(done)
		err := f(ctx)
		s.change(func() { s.ended, s.err = true, err })
	}()
}

func (s *state) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until ok returns true. It fails the test, with what got returns, if that takes too
// long or no more can come.
func (s *state) await(what string, ok func() bool, got func() string) {
	s.t.Helper()
	late := time.After(Patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for inTime := true; !ok(); {
		if s.ended || !inTime {
			s.t.Fatalf("got %s, error %v; want %s", got(), s.err, what)
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			inTime = false
		}
		s.mu.Lock()
	}
}

// A Follower follows a log in the background.
type Follower struct {
	state

	texts []string
	live  bool
}

// Follow follows a log until the test ends. It returns once that is live.
func Follow(t testing.TB, l backplane.Log, after backplane.Cursor) *Follower {
	t.Helper()
	f := new(Follower)
	f.run(t, func(ctx context.Context) error {
		return l.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
			f.change(func() {
				f.live = f.live || live
				for _, e := range batch {
					f.texts = append(f.texts, string(e.Data))
				}
			})
			return nil
		})
	})
	f.await("it live", func() bool { return f.live }, f.got)
	return f
}

func (f *Follower) got() string { return fmt.Sprintf("%d entries, %.100q…", len(f.texts), f.texts) }

// Texts returns the data of the entries so far.
func (f *Follower) Texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clip(f.texts)
}

// Reach waits until the follower has at least n entries, or has ended, and returns them.
func (f *Follower) Reach(n int) []string {
	f.t.Helper()
	f.await(fmt.Sprintf("%d entries", n), func() bool { return f.ended || len(f.texts) >= n }, f.got)
	return f.Texts()
}

// Has waits until the follower has exactly these entries, and returns how long that took.
func (f *Follower) Has(texts ...string) time.Duration {
	f.t.Helper()
	began := time.Now()
	f.Reach(len(texts))
	took := time.Since(began)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.texts, texts) || f.ended {
		f.t.Fatalf("got %s, error %v; want %d, %.100q…", f.got(), f.err, len(texts), texts)
	}
	return took
}

// HasGap waits until the follower ends with ErrGap. What it has must be the beginning of texts.
func (f *Follower) HasGap(texts ...string) {
	f.t.Helper()
	if err := f.End(); !errors.Is(err, backplane.ErrGap) {
		f.t.Fatalf("got error %v, want ErrGap", err)
	}
	if got := f.Texts(); len(got) > len(texts) || !slices.Equal(got, texts[:len(got)]) {
		f.t.Fatalf("got %s; want the beginning of %.100q…", f.got(), texts)
	}
}

// End waits until Follow has returned, and returns its error.
func (f *Follower) End() error {
	f.t.Helper()
	f.await("the end of Follow", func() bool { return f.ended }, f.got)
	return f.err
}

// Stop ends the context of Follow.
func (f *Follower) Stop() { f.stop() }
