package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/redislog"
)

// Two handles of one store act as two processes would.
func TestTwoHandles(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a, b := s.store("s"), s.store("s")
	all, some := probe.Watch(t, b, ""), probe.Watch(t, a, "k1")
	r1 := probe.Swap(t, a, "k1", 0, "v", 0)
	r2 := probe.Swap(t, b, "k2", 0, "", 0) // empty is a value
	if r2.Rev <= r1.Rev {
		t.Errorf("revisions %d, %d", r1.Rev, r2.Rev)
	}
	all.Shows("k1", "v", "k2", "")
	some.Shows("k1", "v")
	present, err := b.Swap(t.Context(), "k1", 0, []byte("w"), 0)
	if !errors.Is(err, backplane.ErrConflict) || present.Rev != r1.Rev || string(present.Value) != "v" {
		t.Errorf("conflict: got %v, %v", present, err)
	}
	r3 := probe.Swap(t, b, "k1", r1.Rev, "w", 0)
	all.Shows("k1", "w", "k2", "")
	r4, err := a.Swap(t.Context(), "k1", r3.Rev, nil, 0)
	if err != nil || r4.Value != nil || r4.Rev <= r3.Rev {
		t.Errorf("deleted: got %v, %v", r4, err)
	}
	all.Shows("k2", "")
	some.Shows()
	if rev := some.Rev("k1"); rev != r4.Rev {
		t.Errorf("watcher: got revision %d, want %d", rev, r4.Rev)
	}
	absent, err := a.Swap(t.Context(), "k1", r4.Rev, []byte("x"), 0)
	if !errors.Is(err, backplane.ErrConflict) || absent.Rev != 0 || absent.Value != nil {
		t.Errorf("conflict with no record: got %v, %v", absent, err)
	}
	if r, err := a.Swap(t.Context(), "none", 0, nil, 0); err != nil || r.Rev != 0 {
		t.Errorf("deleting no record: got %v, %v", r, err)
	}
	probe.Watch(t, a, "k").Shows("k2", "")
}

// Of several that create a record one succeeds, each time.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	handles := []*redislog.Store{s.store("s"), s.store("s"), s.store("s")}
	var rev uint64
	for range 20 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []backplane.Record
		for i := range 9 {
			wg.Go(func() {
				r, err := handles[i%3].Swap(t.Context(), "lock", rev, fmt.Append(nil, i), time.Minute)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					won = append(won, r)
				} else if !errors.Is(err, backplane.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 || won[0].Rev <= rev {
			t.Fatalf("got winners %v after revision %d, want 1", won, rev)
		}
		rev = won[0].Rev
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a := s.store("s")
	v := probe.Watch(t, s.store("s"), "")
	began := time.Now()
	r := probe.Swap(t, a, "short", 0, "v", 4300*time.Millisecond) // rounded up to seconds
	probe.Swap(t, a, "kept", 0, "v", 5*time.Second)
	probe.Swap(t, a, "long", 0, "v", time.Hour)
	kept := probe.Swap(t, a, "kept", v.Rev("kept"), "w", 0)
	v.Shows("short", "v", "kept", "w", "long", "v")
	v.Shows("kept", "w", "long", "v")
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("it expired after %v", took)
	}
	if again := probe.Swap(t, a, "short", 0, "again", time.Minute); again.Rev <= r.Rev {
		t.Errorf("got revision %d, want more than %d", again.Rev, r.Rev)
	}
	if r, err := a.Swap(t.Context(), "kept", kept.Rev, nil, 0); err != nil {
		t.Errorf("a record that no longer expires: got %v, %v", r, err)
	}
}

// Without a watcher a record expires as well, and can be created again.
func TestExpiryWithoutWatchers(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a := s.store("s")
	for i := range 30 {
		probe.Swap(t, a, fmt.Sprint("k", i), 0, "v", time.Second)
	}
	time.Sleep(1100 * time.Millisecond) // until they have expired, on the server's clock
	probe.Swap(t, a, "k29", 0, "mine", time.Hour)
	for range 3 { // each swap deletes some of the others
		probe.Swap(t, a, "other", 0, "v", 0)
		a.Swap(t.Context(), "other", 0, nil, 0)
		if n := s.do("HLEN", "{sse}:store:s"); n == int64(2) {
			return
		}
		r, _ := a.Swap(t.Context(), "other", 0, []byte(""), 0)
		a.Swap(t.Context(), "other", r.Rev, nil, 0)
	}
	t.Errorf("got %v records, want 0", s.do("HLEN", "{sse}:store:s"))
}

// A watcher gets each record once, even if records change while it starts, and all later
// changes.
func TestWatchWhileItChanges(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a := s.store("s")
	model := map[string]string{}
	revs := map[string]uint64{}
	change := func(i int) {
		key := strings.Repeat("k", 100) + fmt.Sprint(i*7919%1500) // long enough that Redis does not use its compact form
		if i%5 == 4 && revs[key] != 0 {
			if _, err := a.Swap(t.Context(), key, revs[key], nil, 0); err != nil {
				t.Fatal(err)
			}
			delete(model, key)
			delete(revs, key)
			return
		}
		model[key] = fmt.Sprint(i)
		revs[key] = probe.Swap(t, a, key, revs[key], model[key], 0).Rev
	}
	for i := range 2000 {
		change(i)
	}
	views := make(chan *probe.View, 5)
	for range cap(views) {
		go func() { views <- probe.Watch(t, s.store("s"), "k") }()
	}
	for i := range 3000 {
		change(2000 + i)
	}
	for range cap(views) {
		(<-views).ShowsMap(model)
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a := s.store("s")
	probe.Swap(t, a, "k", 0, "v", 0)
	err := a.Watch(t.Context(), "", func(batch []backplane.Record, live bool) error {
		if !slices.ContainsFunc(batch, func(r backplane.Record) bool { return r.Key == "k" }) || !live {
			t.Errorf("got batch %v, live %v", batch, live)
		}
		return errEnough
	})
	if err != errEnough {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = a.Watch(ctx, "x", func([]backplane.Record, bool) error { cancel(); return nil })
	if err != context.Canceled {
		t.Errorf("error %v", err)
	}
}
