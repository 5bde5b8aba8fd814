package board

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// newStore returns a store without cards, in a file of the test.
func newStore(t *testing.T) *store {
	t.Helper()
	s, err := openStore(t.Context(), filepath.Join(t.TempDir(), "board.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	for _, c := range cardsOf(t, s) { // those of a new board
		if err := s.delete(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func cardsOf(t *testing.T, s *store) []card {
	t.Helper()
	cards, err := s.cards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cards
}

var tester = author{Name: "Tester", Hue: 90}

func add(t *testing.T, s *store, to column, text string) int64 {
	t.Helper()
	id, err := s.add(t.Context(), to, text, tester)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// order returns the texts of a column, from top to bottom.
func order(t *testing.T, s *store, c column) string {
	var texts []string
	for _, card := range cardsOf(t, s) {
		if card.Column == c {
			texts = append(texts, card.Text)
		}
	}
	return strings.Join(texts, " ")
}

func TestMove(t *testing.T) {
	s := newStore(t)
	ids := map[string]int64{"": 0, "gone": 4711}
	for _, text := range []string{"a", "b", "c"} {
		ids[text] = add(t, s, todo, text)
	}
	ids["x"] = add(t, s, doing, "x")
	for _, step := range []struct {
		card        string
		to          column
		before      string
		todo, doing string
	}{
		{"a", todo, "c", "b a c", "x"},
		{"c", todo, "b", "c b a", "x"},
		{"c", todo, "", "b a c", "x"},
		{"b", todo, "b", "a c b", "x"}, // before itself: no such place
		{"a", doing, "x", "c b", "a x"},
		{"c", doing, "gone", "b", "a x c"},
		{"c", doing, "b", "b", "a x c"}, // b is in another column
		{"b", doing, "x", "", "a b x c"},
	} {
		if err := s.move(t.Context(), ids[step.card], place{step.to, ids[step.before]}, tester); err != nil {
			t.Fatal(err)
		}
		if got := order(t, s, todo); got != step.todo {
			t.Errorf("after %+v: got todo %q", step, got)
		}
		if got := order(t, s, doing); got != step.doing {
			t.Errorf("after %+v: got doing %q", step, got)
		}
	}
	if err := s.move(t.Context(), ids["a"], place{Column: "attic"}, tester); !errors.Is(err, errColumn) {
		t.Errorf("move to an unknown column: got %v, want %v", err, errColumn)
	}
}

func TestText(t *testing.T) {
	s := newStore(t)
	id := add(t, s, todo, "one\r\ntwo\n\n  <b>&three</b>  \r\n")
	if got, want := cardsOf(t, s)[0].Text, "one\ntwo\n\n  <b>&three</b>"; got != want {
		t.Errorf("got text %q, want %q", got, want)
	}
	for _, tt := range []struct {
		text string
		want error
	}{
		{"", errEmpty},
		{" \r\n\t", errEmpty},
		{strings.Repeat("é", maxText/2+1), errTooLong},
		{strings.Repeat("é", maxText/2), nil},
		{"\xff", nil},
	} {
		if _, err := s.add(t.Context(), todo, tt.text, tester); !errors.Is(err, tt.want) {
			t.Errorf("add %.20q: got %v, want %v", tt.text, err, tt.want)
		}
		if err := s.edit(t.Context(), id, 1, tt.text, tester); tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("edit %.20q: got %v, want %v", tt.text, err, tt.want)
		}
	}
}

func TestEditOfAnOldRevision(t *testing.T) {
	s := newStore(t)
	id := add(t, s, todo, "first")
	if err := s.edit(t.Context(), id, 1, "second", author{Name: "Keen Otter"}); err != nil {
		t.Fatal(err)
	}
	err := s.edit(t.Context(), id, 1, "third", tester)
	if err == nil || !strings.Contains(err.Error(), "Keen Otter has changed this card") {
		t.Errorf("edit of an old revision: got %v, want the author of the new one", err)
	}
	if got := order(t, s, todo); got != "second" {
		t.Errorf("got text %q, want %q", got, "second")
	}
}

func TestUnknownCard(t *testing.T) {
	s := newStore(t)
	for name, err := range map[string]error{
		"edit":   s.edit(t.Context(), 4711, 1, "text", tester),
		"move":   s.move(t.Context(), 4711, place{Column: done}, tester),
		"delete": s.delete(t.Context(), 4711),
	} {
		if !errors.Is(err, errUnknown) {
			t.Errorf("%s: got %v, want %v", name, err, errUnknown)
		}
	}
}

func TestFullBoard(t *testing.T) {
	s := newStore(t)
	for range maxCards {
		add(t, s, todo, "x")
	}
	if _, err := s.add(t.Context(), todo, "x", tester); !errors.Is(err, errFull) {
		t.Errorf("card %d: got %v, want %v", maxCards+1, err, errFull)
	}
}

// A board gets its first cards once: those that were deleted stay deleted.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	before := cardsOf(t, s)
	if len(before) != len(firstCards()) {
		t.Errorf("a new board: got %d cards, want %d", len(before), len(firstCards()))
	}
	if err := s.delete(t.Context(), before[0].ID); err != nil {
		t.Fatal(err)
	}
	s.close()
	s, err = openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if got := cardsOf(t, s); !slices.Equal(got, before[1:]) {
		t.Errorf("reopened: got %v\nwant %v", got, before[1:])
	}
}

func TestNoBoard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "such", "folder.db")
	if _, err := openStore(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one with %s", err, path)
	}
}

// Processes may create the file at the same time.
func TestOpenAtOnce(t *testing.T) {
	for range 50 {
		path := filepath.Join(t.TempDir(), "board.db")
		var opening sync.WaitGroup
		for range 8 {
			opening.Go(func() {
				s, err := openStore(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				s.db.Close()
			})
		}
		opening.Wait()
	}
}
