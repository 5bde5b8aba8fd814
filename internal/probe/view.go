package probe

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"example.org/sse/backplane"
)

// Swap changes a record, which must succeed.
func Swap(t testing.TB, s backplane.Store, key string, old uint64, value string, ttl time.Duration) backplane.Record {
	t.Helper()
	r, err := s.Swap(Within(t, Patience), key, old, []byte(value), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A View is the state that a watcher in the background has been given.
type View struct {
	state

	prefix    string
	forgetful bool
	live      bool
	values    map[string]string
	revs      map[string]uint64
	last      uint64
	wrong     string
}

// Watch watches a store until the test ends. It returns once that is live.
func Watch(t testing.TB, s backplane.Store, prefix string) *View {
	t.Helper()
	return watch(t, s, prefix, false)
}

// WatchForgetful is Watch for a server that loses changes: records can return to an earlier
// revision, after they were deleted.
func WatchForgetful(t testing.TB, s backplane.Store, prefix string) *View {
	t.Helper()
	return watch(t, s, prefix, true)
}

func watch(t testing.TB, s backplane.Store, prefix string, forgetful bool) *View {
	t.Helper()
	v := &View{prefix: prefix, forgetful: forgetful, values: make(map[string]string), revs: make(map[string]uint64)}
	v.run(t, func(ctx context.Context) error {
		return s.Watch(ctx, prefix, func(batch []backplane.Record, live bool) error {
			v.change(func() {
				v.live = v.live || live
				for _, r := range batch {
					v.take(r)
				}
			})
			return nil
		})
	})
	v.await("it live", func() bool { return v.live }, v.got)
	return v
}

func (v *View) take(r backplane.Record) {
	_, is := v.values[r.Key]
	if r.Rev <= v.last && !v.forgetful || is && r.Rev <= v.revs[r.Key] || !strings.HasPrefix(r.Key, v.prefix) {
		v.wrong = fmt.Sprintf("%q with revision %d after %d, want an order, and keys with %q", r.Key, r.Rev, v.last, v.prefix)
	}
	v.last, v.revs[r.Key] = r.Rev, r.Rev
	if r.Value == nil {
		delete(v.values, r.Key)
	} else {
		v.values[r.Key] = string(r.Value)
	}
}

func (v *View) got() string { return fmt.Sprintf("view %.300v", v.values) }

// Shows waits until the view has these keys and values, which alternate, and no others.
func (v *View) Shows(pairs ...string) {
	v.t.Helper()
	want := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	v.ShowsMap(want)
}

// ShowsMap waits until the view has these values by key, and no others.
func (v *View) ShowsMap(want map[string]string) {
	v.t.Helper()
	v.await(fmt.Sprintf("%.300v", want), func() bool { return v.wrong != "" || maps.Equal(v.values, want) }, v.got)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wrong != "" {
		v.t.Fatalf("got %s", v.wrong)
	}
}

// Rev waits for a record, and returns the revision that the watcher has been given last.
func (v *View) Rev(key string) uint64 {
	v.t.Helper()
	v.await("a revision of "+key, func() bool { return v.revs[key] != 0 }, v.got)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.revs[key]
}

// End waits until Watch has returned, and returns its error.
func (v *View) End() error {
	v.t.Helper()
	v.await("the end of Watch", func() bool { return v.ended }, v.got)
	return v.err
}

// Stop ends the context of Watch.
func (v *View) Stop() { v.stop() }
