package main

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

// A board is shown once after each change, and not before the next; and again, with
// the same name, if it is not known whether it was.
func TestShow(t *testing.T) {
	b := newBoard(t)
	var versions []int64
	broken := errors.New("no answer")
	var fails error
	show := func(want error, cards ...string) {
		t.Helper()
		var got []string
		err := b.show(t.Context(), func(version int64, all []card, _ int64) error {
			versions = append(versions, version)
			for _, c := range all {
				got = append(got, c.Text)
			}
			return fails
		})
		if !errors.Is(err, want) || strings.Join(got, " ") != strings.Join(cards, " ") {
			t.Fatalf("shown are %q, %v; want %q, %v", got, err, cards, want)
		}
	}
	show(nil) // newBoard has deleted the first cards
	add(t, b, todo, "a")
	show(nil, "a")
	show(nil)
	add(t, b, todo, "b")
	fails = broken
	show(broken, "a", "b")
	show(broken, "a", "b")
	fails = nil
	show(nil, "a", "b")
	if n := len(versions); versions[n-1] != versions[n-2] || versions[n-1] != versions[n-3] || versions[n-1] == versions[n-4] {
		t.Errorf("the versions are %d", versions)
	}
	if err := b.edit(t.Context(), 4711, 1, "no card", tester); err == nil {
		t.Error("edited what is not there")
	}
	show(nil)
}

// Several processes have one file: what is shown grows as what is committed, though
// some fail at showing it, and in the end all is shown.
func TestShowOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	const processes, cards = 3, 15
	var mu sync.Mutex
	var shown []int
	var working sync.WaitGroup
	boards := make([]*board, processes)
	for i := range boards {
		working.Go(func() { // all of them make the file
			b, err := openBoard(t.Context(), path)
			if err != nil {
				t.Error(err)
			}
			boards[i] = b
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
	for i, b := range boards {
		defer b.close()
		working.Go(func() {
			for range cards {
				if _, err := b.add(t.Context(), todo, fmt.Sprint("by ", i), tester); err != nil {
					t.Error(err)
				}
				b.show(t.Context(), send)
			}
		})
	}
	working.Wait()
	for boards[0].show(t.Context(), send) != nil {
		continue
	}
	for i, n := range shown[1:] {
		if n <= shown[i] {
			t.Fatalf("a board of %d cards is shown after one of %d", n, shown[i])
		}
	}
	if got, want := shown[len(shown)-1], processes*cards+len(firstCards()); got != want {
		t.Errorf("in the end %d cards are shown, not %d", got, want)
	}
}

// Any board that is allowed fits into an event of a log.
func TestLargestBoard(t *testing.T) {
	b := newBoard(t)
	long := author{Name: strings.Repeat("n", 30), Hue: 359}
	for _, size := range []int{maxText, maxBoard / maxCards} {
		for _, text := range []string{strings.Repeat("&", size/5), strings.Repeat("\n", size-1) + ".", strings.Repeat("x", size)} {
			for i := range maxCards + 1 {
				_, err := b.add(t.Context(), []column{todo, doing, done}[i%3], text, long)
				if errors.Is(err, errFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			all := cardsOf(t, b)
			for _, d := range dialects {
				e := d.event("board", parseViews().board(all, 1))
				if n := len(e.Data) + 4096; n > backplane.MaxData { // with what else an entry has
					t.Errorf("%d cards of %d bytes take %d bytes", len(all), len(text), n)
				} else {
					t.Logf("%d cards of %d bytes take %d bytes", len(all), len(text), n)
				}
			}
			for _, c := range all {
				if err := b.delete(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
