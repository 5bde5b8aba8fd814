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

// Of many that want a record one gets it, and the others are told who.
func testWinner(t *testing.T, open OpenStore) {
	name := unique("winner")
	stores := []backplane.Store{open(t, name), open(t, name), open(t, name)}
	for round := range 10 {
		key := fmt.Sprint("lock/", round)
		var mu sync.Mutex
		var winners, told []string
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
					told = append(told, string(r.Value))
				default:
					t.Errorf("contender %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 || len(told) != 8 {
			t.Fatalf("winners are %q, the others are told %q", winners, told)
		}
		for _, s := range told {
			if s != winners[0] {
				t.Errorf("the winner is %s, the others are told %q", winners[0], told)
				break
			}
		}
	}
}

// Nothing that was swapped is overwritten by somebody who has not seen it.
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

// A revision is greater than any before it, whatever the key.
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
			t.Fatalf("revision %d comes after %d", r.Rev, last)
		}
		last, revs[key] = r.Rev, r.Rev
		if value == nil {
			revs[key] = 0
		}
	}
	if last >= 1<<53 {
		t.Errorf("revision %d is too large for JavaScript", last)
	}
}

// A deleted record is not there; an empty one is.
func testDeleted(t *testing.T, open OpenStore) {
	name := unique("deleted")
	a, b := open(t, name), open(t, name)
	if r := conflict(t, a, "k", 5); r.Rev != 0 {
		t.Errorf("a record that never was is %+v", r)
	}
	if r := swap(t, a, "k", 0, nil, 0); r.Rev != 0 { // nothing to delete
		t.Errorf("there is a revision of what never was: %+v", r)
	}
	for range 3 {
		first := swap(t, a, "k", 0, []byte{}, 0)
		if r := conflict(t, b, "k", 0); r.Rev != first.Rev || len(r.Value) != 0 {
			t.Errorf("the record is %+v, want %+v", r, first)
		}
		second := swap(t, b, "k", first.Rev, []byte("second"), 0)
		if r := conflict(t, a, "k", first.Rev); r.Rev != second.Rev || string(r.Value) != "second" {
			t.Errorf("the record is %+v, want %+v", r, second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if r, err := a.Swap(ctx, "k", first.Rev, nil, 0); !errors.Is(err, backplane.ErrConflict) || r.Rev != second.Rev {
			t.Errorf("to delete an old revision: %+v, %v", r, err)
		}
		cancel()
		deleted := swap(t, a, "k", second.Rev, nil, 0)
		if deleted.Rev <= second.Rev {
			t.Errorf("deleted at revision %d, after %d", deleted.Rev, second.Rev)
		}
		if r := conflict(t, b, "k", second.Rev); r.Rev != 0 {
			t.Errorf("a deleted record is %+v", r)
		}
	}
}

var oddKeys = []string{"a", "A", "a.b", "a.>", "a.*", "*", ">", "a b", "ü €", "a/b", `a\b`, "a-b", "a_b", "=YQ", "..", ".a", "a.", "{a}", "\x00\r\n", "\xff", strings.Repeat("k", backplane.MaxKey)}

// Keys are bytes, whatever they mean to a broker.
func testKeys(t *testing.T, open OpenStore) {
	name := unique("keys")
	s := open(t, name)
	w := watch(t, open(t, name), "", nil)
	for _, key := range oddKeys {
		swap(t, s, key, 0, []byte("value of "+key), 0)
	}
	for _, key := range oddKeys {
		if r := conflict(t, s, key, noRevision); string(r.Value) != "value of "+key {
			t.Errorf("%q has value %q", key, r.Value)
		}
		w.until(key, []byte("value of "+key))
	}
}

// Stores are told apart by name.
func testStores(t *testing.T, open OpenStore) {
	prefix := unique("")
	for _, n := range oddKeys[:len(oddKeys)-1] {
		s := open(t, prefix+n)
		swap(t, s, "k", 0, []byte(n), 0)
	}
	for _, n := range oddKeys[:len(oddKeys)-1] {
		if r := conflict(t, open(t, prefix+n), "k", 0); string(r.Value) != n {
			t.Errorf("store %q has the value of %q", n, r.Value)
		}
	}
}

// A watcher is told of what there is, and then of every change.
func testWatch(t *testing.T, open OpenStore) {
	name := unique("watch")
	a, b := open(t, name), open(t, name)
	if n := len(watch(t, b, "", nil).untilLive()); n != 0 {
		t.Errorf("an empty store has %d records", n)
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
			t.Errorf("the snapshot has %+v", r)
		}
	}
	if found != 1 {
		t.Errorf("the snapshot has p/one %d times", found)
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
		if r, _ := w.newest(want.Key); r.Rev != want.Rev || string(r.Value) != string(want.Value) {
			t.Errorf("the newest of %s is %+v, want %+v", want.Key, r, want)
		}
	}
}

// A watcher that is slow gets the newest of each record.
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
		if r, _ := w.newest(strconv.Itoa(key)); string(r.Value) != want {
			t.Errorf("the newest of %d is %q, want %q", key, r.Value, want)
		}
	}
	if r, _ := w.newest("2"); r.Value != nil {
		t.Errorf("the deleted record is %q", r.Value)
	}
}

// What is too large changes nothing.
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
			t.Errorf("a key of %d bytes, a value of %d: %v, want ErrSize", len(tt.key), tt.value, err)
		}
	}
	swap(t, s, "large", 0, make([]byte, backplane.MaxData), 0)
	if r := conflict(t, s, "large", 0); len(r.Value) != backplane.MaxData {
		t.Errorf("the value has %d bytes", len(r.Value))
	}
}

// A context that is done ends everything, and nothing was changed.
func testStoreCancelled(t *testing.T, open OpenStore) {
	s := open(t, unique("cancelled"))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	if _, err := s.Swap(done, "k", 0, []byte("value"), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Swap: %v, want %v", err, context.Canceled)
	}
	if err := s.Watch(done, "", func([]backplane.Record, bool) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v, want %v", err, context.Canceled)
	}
	w := watch(t, s, "", nil)
	w.untilLive()
	w.cancel()
	expect(t, &w.changes, "the end of Watch", func() bool { return w.ended })
	if !errors.Is(w.err, context.Canceled) {
		t.Errorf("Watch: %v, want %v", w.err, context.Canceled)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	swap(t, s, "k", 0, []byte("value"), 0)
	refused := errors.New("refused")
	if err := s.Watch(t.Context(), "", func([]backplane.Record, bool) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("Watch: %v, want %v", err, refused)
	}
}
