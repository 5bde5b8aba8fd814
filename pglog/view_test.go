package pglog_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/pglog"
)

// A view is the state that a background watcher has got.
type view struct {
	t         testing.TB
	stop      context.CancelFunc
	forgetful bool // the server loses changes

	mu      sync.Mutex
	changed chan struct{}
	values  map[string]string
	revs    map[string]uint64
	seen    int // number of records
	wrong   string
	ended   error
}

func watch(t testing.TB, s *pglog.Store, prefix string) *view {
	t.Helper()
	return watchForgetful(t, s, prefix, false)
}

func watchForgetful(t testing.TB, s *pglog.Store, prefix string, forgetful bool) *view {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	v := &view{t: t, stop: cancel, forgetful: forgetful, changed: make(chan struct{}), values: map[string]string{}, revs: map[string]uint64{}}
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	live := make(chan struct{})
	var once sync.Once
	go func() {
		defer close(done)
		var last uint64
		err := s.Watch(ctx, prefix, func(batch []backplane.Record, isLive bool) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			for _, r := range batch {
				v.seen++
				_, is := v.values[r.Key]
				if r.Rev <= last && !v.forgetful || is && r.Rev <= v.revs[r.Key] || !strings.HasPrefix(r.Key, prefix) {
					v.wrong = fmt.Sprintf("%q with revision %d after %d", r.Key, r.Rev, last)
				}
				last = r.Rev
				if r.Value == nil {
					delete(v.values, r.Key)
				} else {
					v.values[r.Key] = string(r.Value)
				}
				v.revs[r.Key] = r.Rev
			}
			close(v.changed)
			v.changed = make(chan struct{})
			if isLive {
				once.Do(func() { close(live) })
			}
			return nil
		})
		v.mu.Lock()
		defer v.mu.Unlock()
		v.ended = err
		close(v.changed)
		v.changed = make(chan struct{})
	}()
	select {
	case <-live:
	case <-time.After(patience):
		t.Fatal("the watcher is not live, want it live")
	}
	return v
}

// shows waits until the view has these keys and values, which alternate.
func (v *view) shows(pairs ...string) {
	v.t.Helper()
	want := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	v.showsMap(want)
}

func (v *view) showsMap(want map[string]string) {
	v.t.Helper()
	late := time.After(patience)
	for {
		v.mu.Lock()
		is, changed, wrong := maps.Equal(v.values, want), v.changed, v.wrong
		v.mu.Unlock()
		if wrong != "" {
			v.t.Fatal(wrong)
		}
		if is {
			return
		}
		select {
		case <-changed:
		case <-late:
			v.mu.Lock()
			defer v.mu.Unlock()
			v.t.Fatalf("got view %.300v, want %.300v; error %v", v.values, want, v.ended)
		}
	}
}

func (v *view) awaitEnd() {
	v.t.Helper()
	late := time.After(patience)
	for {
		v.mu.Lock()
		ended, changed := v.ended, v.changed
		v.mu.Unlock()
		if ended != nil {
			return
		}
		select {
		case <-changed:
		case <-late:
			v.t.Fatal("Watch has not ended")
		}
	}
}
