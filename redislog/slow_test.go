package redislog_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/redislog"
)

// A follower that is slower than the log's history gets a gap.
func TestSlowFollower(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := s.log("log", &redislog.Options{History: 20})
	probe.Append(t, l, "first")
	got := 0
	err := l.Follow(probe.Within(t, probe.Patience), backplane.Oldest, func(batch []backplane.Entry, _ bool) error {
		if got == 0 {
			probe.Append(t, l, probe.Numbered("e", 100)...)
		}
		got += len(batch)
		return nil
	})
	if !errors.Is(err, backplane.ErrGap) || got != 1 {
		t.Errorf("got %d entries, error %v; want 1, ErrGap", got, err)
	}
}

// A slow watcher gets the present state: in portions, from the changes, or from all records
// if there were more changes than are kept.
func TestSlowWatcher(t *testing.T) {
	for _, tt := range []struct {
		name                     string
		records, changes, length int
		portions                 bool
	}{
		{"large records", 50, 1, 100 << 10, true},
		{"many records", 3000, 1, 1000, true},
		{"many changes", 20, 20, 10, false},
		{"more than are kept", 100, 120, 10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startRedis(t)
			st := s.store("store")
			first := probe.Swap(t, st, "first", 0, "v", 0)
			want := map[string]string{}
			got := map[string]string{}
			var lastRev, liveRev uint64
			var portions int
			err := s.store("store").Watch(probe.Within(t, probe.Patience), "", func(batch []backplane.Record, live bool) error {
				if _, began := got["first"]; !began {
					got["first"] = "v"
					changeAll(t, st, want, tt.records, tt.changes, strings.Repeat("x", tt.length))
					if _, err := st.Swap(t.Context(), "first", first.Rev, nil, 0); err != nil {
						t.Error(err)
					}
					liveRev = probe.Swap(t, st, "after", 0, "", 0).Rev
					want["after"] = ""
					return nil
				}
				portions++
				size := 0
				for _, r := range batch {
					if r.Rev < lastRev { // several may be deleted at an unknown time
						t.Errorf("got revision %d after %d", r.Rev, lastRev)
					}
					lastRev = r.Rev
					size += len(r.Value)
					if r.Value == nil {
						delete(got, r.Key)
					} else {
						got[r.Key] = string(r.Value)
					}
				}
				if live != (lastRev >= liveRev) || tt.portions && size > 2<<20 {
					t.Errorf("got a batch of %d records, %d bytes, live %v", len(batch), size, live)
				}
				if live {
					return errEnough
				}
				return nil
			})
			if err != errEnough || !maps.Equal(got, want) {
				t.Errorf("got %d records, want %d; %v", len(got), len(want), err)
			}
			if (portions > 1) != tt.portions {
				t.Errorf("got %d portions", portions)
			}
		})
	}
}

// changeAll makes changes to each of n records at the same time, and adds them to want.
func changeAll(t *testing.T, st *redislog.Store, want map[string]string, n, changes int, value string) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		key := fmt.Sprint("k", i)
		want[key] = value
		wg.Go(func() {
			var rev uint64
			for range changes {
				rev = probe.Swap(t, st, key, rev, value, 0).Rev
			}
		})
	}
	wg.Wait()
}

// The server remembers ids and calls for the right time.
func TestWindows(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	began := time.Now()
	probe.Append(t, s.log("log", nil), "id")
	probe.Swap(t, s.store("store"), "key", 0, "value", 0)
	for _, tt := range []struct {
		keys string
		want time.Duration
	}{
		{"{sse}:log:log:id:*", 3 * time.Minute},
		{"{sse}:store:store:call:*", 2 * time.Minute},
	} {
		keys := s.do("KEYS", tt.keys).([]any)
		if len(keys) != 1 {
			t.Fatalf("%s: %v", tt.keys, keys)
		}
		left := s.client().PTTL(t.Context(), keys[0].(string)).Val()
		if least := tt.want - time.Since(began) - time.Second; left > tt.want || left < least {
			t.Errorf("%s: %v", tt.keys, left)
		}
	}
}
