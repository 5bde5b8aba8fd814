package logtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
)

var storeTests = []test[OpenStore]{
	{"one winner", testWinner},
	{"counter", testCounter},
	{"revisions", testRevisions},
	{"deleted", testDeleted},
	{"keys", testKeys},
	{"stores", testStores},
	{"expiry", testExpiry},
	{"renewal", testRenewal},
	{"too late", testTooLate},
	{"lifted", testLifted},
	{"watch", testWatch},
	{"watch slowly", testWatchSlowly},
	{"sizes", testStoreSizes},
	{"cancelled", testStoreCancelled},
}

// Of many processes that create a record one succeeds, and the others get its record.
func testWinner(t *testing.T, open OpenStore) {
	name := unique("winner")
	stores := []backplane.Store{open(t, name), open(t, name), open(t, name)}
	for round := range 10 {
		key := fmt.Sprint("lock/", round)
		var mu sync.Mutex
		var winners, conflicts []string
		var wg sync.WaitGroup
		for n := range 9 {
			wg.Go(func() {
				r, err := stores[n%3].Swap(t.Context(), key, 0, []byte(strconv.Itoa(n)), 30*time.Second)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					winners = append(winners, string(r.Value))
				case errors.Is(err, backplane.ErrConflict):
					conflicts = append(conflicts, string(r.Value))
				default:
					t.Errorf("contender %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 || len(conflicts) != 8 {
			t.Fatalf("got winners %q and conflicts %q, want 1 and 8", winners, conflicts)
		}
		for _, s := range conflicts {
			if s != winners[0] {
				t.Errorf("the winner is %s, got conflicts %q", winners[0], conflicts)
				break
			}
		}
	}
}

// A swap never overwrites a change that its caller has not seen.
func testCounter(t *testing.T, open OpenStore) {
	const each = 15
	name := unique("counter")
	stores := []backplane.Store{open(t, name), open(t, name), open(t, name)}
	w := watch(t, open(t, name), "", nil)
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			var r backplane.Record
			for done := 0; done < each; {
				count, _ := strconv.Atoi(string(r.Value)) // 0 at first
				next, err := stores[n/2].Swap(t.Context(), "counter", r.Rev, []byte(strconv.Itoa(count+1)), 0)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, backplane.ErrConflict):
					t.Error(err)
					return
				}
				r = next
			}
		})
	}
	wg.Wait()
	w.until("counter", []byte(strconv.Itoa(6*each)))
}

// A revision is greater than any before, of any key.
func testRevisions(t *testing.T, open OpenStore) {
	name := unique("revisions")
	stores := []backplane.Store{open(t, name), open(t, name), open(t, name)}
	keys := []string{"a", "b", "c/d", "c/e"}
	revs := make(map[string]uint64)
	var last uint64
	for i := range 40 {
		key := keys[i*7%len(keys)]
		value := []byte(strconv.Itoa(i))
		if i%5 == 4 && revs[key] != 0 {
			value = nil
		}
		r := swap(t, stores[i%3], key, revs[key], value, 0)
		if r.Rev <= last {
			t.Fatalf("got revision %d after %d", r.Rev, last)
		}
		last, revs[key] = r.Rev, r.Rev
		if value == nil {
			revs[key] = 0
		}
	}
	if last >= 1<<53 {
		t.Errorf("got revision %d, want less than 2^53, for JavaScript", last)
	}
}

// A deleted record does not exist; an empty one does.
func testDeleted(t *testing.T, open OpenStore) {
	name := unique("deleted")
	a, b := open(t, name), open(t, name)
	if r := conflict(t, a, "k", 5); r.Rev != 0 {
		t.Errorf("a record that never existed: got %+v, want revision 0", r)
	}
	if r := swap(t, a, "k", 0, nil, 0); r.Rev != 0 { // nothing to delete
		t.Errorf("deleting a record that never existed: got %+v, want revision 0", r)
	}
	for range 3 {
		first := swap(t, a, "k", 0, []byte{}, 0)
		if r := conflict(t, b, "k", 0); r.Rev != first.Rev || len(r.Value) != 0 {
			t.Errorf("got record %+v, want %+v", r, first)
		}
		second := swap(t, b, "k", first.Rev, []byte("second"), 0)
		if r := conflict(t, a, "k", first.Rev); r.Rev != second.Rev || string(r.Value) != "second" {
			t.Errorf("got record %+v, want %+v", r, second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if r, err := a.Swap(ctx, "k", first.Rev, nil, 0); !errors.Is(err, backplane.ErrConflict) || r.Rev != second.Rev {
			t.Errorf("deleting an old revision: got %+v, %v; want %+v, ErrConflict", r, err, second)
		}
		cancel()
		deleted := swap(t, a, "k", second.Rev, nil, 0)
		if deleted.Rev <= second.Rev {
			t.Errorf("deleted at revision %d, want more than %d", deleted.Rev, second.Rev)
		}
		if r := conflict(t, b, "k", second.Rev); r.Rev != 0 {
			t.Errorf("a deleted record: got %+v, want revision 0", r)
		}
	}
}

var oddKeys = []string{"a", "A", "a.b", "a.>", "a.*", "*", ">", "a b", "ü €", "a/b", `a\b`, "a-b", "a_b", "=YQ", "..", ".a", "a.", "{a}", "\x00\r\n", "\xff", strings.Repeat("k", backplane.MaxKey)}

// Keys may contain any bytes, even those that have a meaning to a broker.
func testKeys(t *testing.T, open OpenStore) {
	name := unique("keys")
	s := open(t, name)
	w := watch(t, open(t, name), "", nil)
	for _, key := range oddKeys {
		swap(t, s, key, 0, []byte("value of "+key), 0)
	}
	for _, key := range oddKeys {
		if r := conflict(t, s, key, noRevision); string(r.Value) != "value of "+key {
			t.Errorf("key %q: got value %q", key, r.Value)
		}
		w.until(key, []byte("value of "+key))
	}
}

// Names identify stores.
func testStores(t *testing.T, open OpenStore) {
	prefix := unique("")
	for _, n := range oddKeys[:len(oddKeys)-1] {
		s := open(t, prefix+n)
		swap(t, s, "k", 0, []byte(n), 0)
	}
	for _, n := range oddKeys[:len(oddKeys)-1] {
		if r := conflict(t, open(t, prefix+n), "k", 0); string(r.Value) != n {
			t.Errorf("store %q: got the value of %q", n, r.Value)
		}
	}
}

// A watcher gets all records, and then every change.
func testWatch(t *testing.T, open OpenStore) {
	name := unique("watch")
	a, b := open(t, name), open(t, name)
	if n := len(watch(t, b, "", nil).untilLive()); n != 0 {
		t.Errorf("an empty store: got %d records", n)
	}
	one := swap(t, a, "p/one", 0, []byte("1"), 0)
	swap(t, a, "q/one", 0, []byte("1"), 0)
	gone := swap(t, a, "p/gone", 0, []byte("1"), 0)
	swap(t, a, "p", 0, []byte("1"), 0)
	swap(t, a, "p/gone", gone.Rev, nil, 0)
	one = swap(t, a, "p/one", one.Rev, []byte("2"), 0)

	w := watch(t, b, "p/", nil)
	found := 0
	for _, r := range w.untilLive() {
		if r.Key == "p/one" && r.Rev == one.Rev && string(r.Value) == "2" {
			found++
		} else if r.Key != "p/gone" || r.Value != nil {
			t.Errorf("the first records contain %+v", r)
		}
	}
	if found != 1 {
		t.Errorf("the first records contain p/one %d times, want once", found)
	}

	two := swap(t, b, "p/two", 0, []byte("2"), 0)
	one = swap(t, a, "p/one", one.Rev, []byte("3"), 0)
	swap(t, a, "q/two", 0, []byte("2"), 0)
	w.until("p/two", two.Value)
	deleted := swap(t, b, "p/two", two.Rev, nil, 0)
	last := swap(t, a, "p/last", 0, []byte("!"), 0)
	w.until("p/last", []byte("!"))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, want := range []backplane.Record{one, deleted, last} {
		if r, _ := w.newestLocked(want.Key); r.Rev != want.Rev || string(r.Value) != string(want.Value) {
			t.Errorf("newest of %s: got %+v, want %+v", want.Key, r, want)
		}
	}
}

// A slow watcher gets the newest revision of each record.
func testWatchSlowly(t *testing.T, open OpenStore) {
	name := unique("slowly")
	s := open(t, name)
	gate := make(chan struct{})
	w := watch(t, open(t, name), "", gate)
	revs := make([]uint64, 3)
	for i := range 600 {
		key := i % 3
		revs[key] = swap(t, s, strconv.Itoa(key), revs[key], []byte(strconv.Itoa(i)), 0).Rev
	}
	swap(t, s, "2", revs[2], nil, 0)
	last := swap(t, s, "last", 0, []byte("!"), 0)
	close(gate)
	w.until("last", last.Value)
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, want := range []string{"597", "598"} {
		if r, _ := w.newestLocked(strconv.Itoa(key)); string(r.Value) != want {
			t.Errorf("newest of %d: got %q, want %q", key, r.Value, want)
		}
	}
	if r, _ := w.newestLocked("2"); r.Value != nil {
		t.Errorf("the deleted record: got %q, want no value", r.Value)
	}
}

// A call with a size that is not allowed changes nothing.
func testStoreSizes(t *testing.T, open OpenStore) {
	s := open(t, unique("sizes"))
	for _, tt := range []struct {
		key   string
		value int
	}{
		{"", 1},
		{strings.Repeat("n", backplane.MaxKey+1), 1},
		{"large", backplane.MaxData + 1},
	} {
		if _, err := s.Swap(t.Context(), tt.key, 0, make([]byte, tt.value), 0); !errors.Is(err, backplane.ErrSize) {
			t.Errorf("key of %d bytes, value of %d: got %v, want ErrSize", len(tt.key), tt.value, err)
		}
	}
	swap(t, s, "large", 0, make([]byte, backplane.MaxData), 0)
	if r := conflict(t, s, "large", 0); len(r.Value) != backplane.MaxData {
		t.Errorf("got a value of %d bytes, want %d", len(r.Value), backplane.MaxData)
	}
}

// A context that has ended stops every call, and nothing is changed.
func testStoreCancelled(t *testing.T, open OpenStore) {
	s := open(t, unique("cancelled"))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	if _, err := s.Swap(done, "k", 0, []byte("value"), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Swap: got %v, want %v", err, context.Canceled)
	}
	if err := s.Watch(done, "", func([]backplane.Record, bool) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: got %v, want %v", err, context.Canceled)
	}
	w := watch(t, s, "", nil)
	w.untilLive()
	w.cancel()
	expect(t, &w.changes, "the end of Watch", func() bool { return w.ended })
	if !errors.Is(w.err, context.Canceled) {
		t.Errorf("Watch: got %v, want %v", w.err, context.Canceled)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v, want at most 10 s", took)
	}
	swap(t, s, "k", 0, []byte("value"), 0)
	refused := errors.New("refused")
	if err := s.Watch(t.Context(), "", func([]backplane.Record, bool) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("Watch: got %v, want %v", err, refused)
	}
}
