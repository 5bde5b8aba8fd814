package board

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.org/sse/backplane"
)

// A board is shown once after each change, and again, with the same version, if
// that failed.
func TestShow(t *testing.T) {
	s := newStore(t)
	var versions []int64
	broken := errors.New("no answer")
	var fails error
	show := func(want error, cards ...string) {
		t.Helper()
		var got []string
		err := s.show(t.Context(), func(version int64, all []card, _ int64) error {
			versions = append(versions, version)
			for _, c := range all {
				got = append(got, c.Text)
			}
			return fails
		})
		if !errors.Is(err, want) || strings.Join(got, " ") != strings.Join(cards, " ") {
			t.Fatalf("show: got %q, %v; want %q, %v", got, err, cards, want)
		}
	}
	show(nil) // newStore has deleted the first cards
	add(t, s, todo, "a")
	show(nil, "a")
	show(nil)
	add(t, s, todo, "b")
	fails = broken
	show(broken, "a", "b")
	show(broken, "a", "b")
	fails = nil
	show(nil, "a", "b")
	if n := len(versions); versions[n-1] != versions[n-2] || versions[n-1] != versions[n-3] || versions[n-1] == versions[n-4] {
		t.Errorf("got versions %d, want the last three equal, and another before", versions)
	}
	if err := s.edit(t.Context(), 4711, 1, "no card", tester); err == nil {
		t.Error("edit of an unknown card: got no error")
	}
	show(nil)
}

// Several processes share a file: boards are shown in the order in which they are
// committed, although showing fails at times, and in the end everything is shown.
func TestShowOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	const processes, cards = 3, 15
	var mu sync.Mutex
	var shown []int
	var working sync.WaitGroup
	stores := make([]*store, processes)
	for i := range stores {
		working.Go(func() { // all create the file
			s, err := openStore(t.Context(), path)
			if err != nil {
				t.Error(err)
			}
			stores[i] = s
		})
	}
	working.Wait()
	if t.Failed() {
		return
	}
	send := func(_ int64, all []card, _ int64) error {
		mu.Lock()
		defer mu.Unlock()
		if rand.IntN(4) == 0 {
			return backplane.ErrIndeterminate
		}
		shown = append(shown, len(all))
		return nil
	}
	for i, s := range stores {
		defer s.close()
		working.Go(func() {
			for range cards {
				if _, err := s.add(t.Context(), todo, fmt.Sprint("by ", i), tester); err != nil {
					t.Error(err)
				}
				s.show(t.Context(), send)
			}
		})
	}
	working.Wait()
	for stores[0].show(t.Context(), send) != nil {
		continue
	}
	for i, n := range shown[1:] {
		if n <= shown[i] {
			t.Fatalf("got a board of %d cards after one of %d, want more", n, shown[i])
		}
	}
	if got, want := shown[len(shown)-1], processes*cards+len(firstCards()); got != want {
		t.Errorf("in the end: got %d cards, want %d", got, want)
	}
}

// The largest board fits into a log's event.
func TestLargestBoard(t *testing.T) {
	s := newStore(t)
	long := author{Name: strings.Repeat("n", 30), Hue: 359}
	for _, size := range []int{maxText, maxBoard / maxCards} {
		for _, text := range []string{strings.Repeat("&", size/5), strings.Repeat("\n", size-1) + ".", strings.Repeat("x", size)} {
			for i := range maxCards + 1 {
				_, err := s.add(t.Context(), []column{todo, doing, done}[i%3], text, long)
				if errors.Is(err, errFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			all := cardsOf(t, s)
			for _, d := range dialects {
				e := d.event("board", parseViews().board(all, 1))
				if n := len(e.Data) + 4096; n > backplane.MaxData { // 4096 for the rest of the entry
					t.Errorf("%d cards of %d bytes: got %d bytes, want at most %d", len(all), len(text), n, backplane.MaxData)
				} else {
					t.Logf("%d cards of %d bytes take %d bytes", len(all), len(text), n)
				}
			}
			for _, c := range all {
				if err := s.delete(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
