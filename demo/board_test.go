package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func newBoard(t *testing.T) *board {
	t.Helper()
	b, err := openBoard(t.Context(), filepath.Join(t.TempDir(), "board.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.close() })
	for _, c := range cardsOf(t, b) { // what a new board begins with is not tested here
		if err := b.delete(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func cardsOf(t *testing.T, b *board) []card {
	t.Helper()
	cards, err := b.cards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cards
}

var tester = author{Name: "Tester", Hue: 90}

func add(t *testing.T, b *board, to column, text string) int64 {
	t.Helper()
	id, err := b.add(t.Context(), to, text, tester)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// order returns the texts of a column, from top to bottom.
func order(t *testing.T, b *board, c column) string {
	var texts []string
	for _, card := range cardsOf(t, b) {
		if card.Column == c {
			texts = append(texts, card.Text)
		}
	}
	return strings.Join(texts, " ")
}

func TestMove(t *testing.T) {
	b := newBoard(t)
	ids := map[string]int64{"": 0, "gone": 4711}
	for _, text := range []string{"a", "b", "c"} {
		ids[text] = add(t, b, todo, text)
	}
	ids["x"] = add(t, b, doing, "x")
	for _, step := range []struct {
		card        string
		to          column
		before      string
		todo, doing string
	}{
		{"a", todo, "c", "b a c", "x"},
		{"c", todo, "b", "c b a", "x"},
		{"c", todo, "", "b a c", "x"},
		{"b", todo, "b", "a c b", "x"}, // before itself: there is no such place
		{"a", doing, "x", "c b", "a x"},
		{"c", doing, "gone", "b", "a x c"},
		{"c", doing, "b", "b", "a x c"}, // b is in another column
		{"b", doing, "x", "", "a b x c"},
	} {
		if err := b.move(t.Context(), ids[step.card], place{step.to, ids[step.before]}, tester); err != nil {
			t.Fatal(err)
		}
		if got := order(t, b, todo); got != step.todo {
			t.Errorf("after %+v todo is %q", step, got)
		}
		if got := order(t, b, doing); got != step.doing {
			t.Errorf("after %+v doing is %q", step, got)
		}
	}
	if err := b.move(t.Context(), ids["a"], place{Column: "attic"}, tester); !errors.Is(err, errColumn) {
		t.Errorf("move to a column that is none: %v", err)
	}
}

func TestText(t *testing.T) {
	b := newBoard(t)
	id := add(t, b, todo, "one\r\ntwo\n\n  <b>&three</b>  \r\n")
	if got, want := cardsOf(t, b)[0].Text, "one\ntwo\n\n  <b>&three</b>"; got != want {
		t.Errorf("kept %q, want %q", got, want)
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
		if _, err := b.add(t.Context(), todo, tt.text, tester); !errors.Is(err, tt.want) {
			t.Errorf("add %.20q: %v, want %v", tt.text, err, tt.want)
		}
		if err := b.edit(t.Context(), id, 1, tt.text, tester); tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("edit %.20q: %v, want %v", tt.text, err, tt.want)
		}
	}
}

func TestEditOfAnOldRevision(t *testing.T) {
	b := newBoard(t)
	id := add(t, b, todo, "first")
	if err := b.edit(t.Context(), id, 1, "second", author{Name: "Keen Otter"}); err != nil {
		t.Fatal(err)
	}
	err := b.edit(t.Context(), id, 1, "third", tester)
	if err == nil || !strings.Contains(err.Error(), "Keen Otter has changed this card") {
		t.Errorf("edit of what has changed meanwhile: %v", err)
	}
	if got := order(t, b, todo); got != "second" {
		t.Errorf("it is now %q", got)
	}
}

func TestUnknownCard(t *testing.T) {
	b := newBoard(t)
	for name, err := range map[string]error{
		"edit":   b.edit(t.Context(), 4711, 1, "text", tester),
		"move":   b.move(t.Context(), 4711, place{Column: done}, tester),
		"delete": b.delete(t.Context(), 4711),
	} {
		if !errors.Is(err, errUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFullBoard(t *testing.T) {
	b := newBoard(t)
	for range maxCards {
		add(t, b, todo, "x")
	}
	if _, err := b.add(t.Context(), todo, "x", tester); !errors.Is(err, errFull) {
		t.Errorf("one more: %v", err)
	}
}

// A board is seeded once: one that was emptied stays empty.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	b, err := openBoard(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	before := cardsOf(t, b)
	if len(before) != len(firstCards()) {
		t.Errorf("a new board has %d cards, want %d", len(before), len(firstCards()))
	}
	if err := b.delete(t.Context(), before[0].ID); err != nil {
		t.Fatal(err)
	}
	b.close()
	b, err = openBoard(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if got := cardsOf(t, b); !slices.Equal(got, before[1:]) {
		t.Errorf("reopened: %v\nwant %v", got, before[1:])
	}
}

func TestNoBoard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "such", "folder.db")
	if _, err := openBoard(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v, want one that names %s", err, path)
	}
}
