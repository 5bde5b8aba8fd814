package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	_ "modernc.org/sqlite"
)

// A column of the board, by the name that is stored.
type column string

const (
	todo  column = "todo"
	doing column = "doing"
	done  column = "done"
)

// A card is one thing to do.
type card struct {
	ID       int64
	Text     string
	Column   column
	Revision int64  // goes up with each change of the text
	Author   author // of the last change
}

// A place on the board is in front of another card, or at the end of a column.
type place struct {
	Column column
	Before int64 // the other card's ID, 0: at the end
}

// A board keeps cards in a SQLite file. What one of its methods has changed is
// on the disk when the method returns.
type board struct{ db *sql.DB }

const schema = `
create table card (
	id integer primary key autoincrement,
	text text not null,
	list text not null,
	position integer not null,
	revision integer not null default 1,
	author text not null,
	hue integer not null
);
pragma user_version = 1;`

// schema2 is what came later.
const schema2 = `
create table secret (key blob not null);
pragma user_version = 2;`

// openBoard opens the file, and makes it if there is none.
func openBoard(ctx context.Context, path string) (*board, error) {
	// Another program may look into the file: wait for it, do not fail.
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("board %s: %w", path, err)
	}
	db.SetMaxOpenConns(1) // one writer is all that SQLite has
	b := &board{db: db}
	if err := b.prepare(ctx); err != nil {
		return nil, fmt.Errorf("board %s: %w", path, errors.Join(err, db.Close()))
	}
	return b, nil
}

// prepare gives a new file its tables and its first cards, and an old one what it
// has not got.
func (b *board) prepare(ctx context.Context) error {
	return b.transact(ctx, func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRow("pragma user_version").Scan(&version); err != nil || version > 1 {
			return err
		}
		if version == 0 {
			if _, err := tx.Exec(schema); err != nil {
				return err
			}
			for _, c := range firstCards() {
				if _, err := insert(tx, c); err != nil {
					return err
				}
			}
		}
		if _, err := tx.Exec(schema2); err != nil {
			return err
		}
		key := make([]byte, 32)
		rand.Read(key) // never fails
		_, err := tx.Exec("insert into secret (key) values (?)", key)
		return err
	})
}

// key returns what pages' tokens are signed with. It is kept, so that pages outlive
// a restart.
func (b *board) key(ctx context.Context) (key []byte, err error) {
	err = b.db.QueryRowContext(ctx, "select key from secret").Scan(&key)
	return key, err
}

func (b *board) close() error { return b.db.Close() }

// cards returns all cards, from top to bottom.
func (b *board) cards(ctx context.Context) (cards []card, err error) {
	rows, err := b.db.QueryContext(ctx, "select id, text, list, revision, author, hue from card order by position, id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c card
		if err := rows.Scan(&c.ID, &c.Text, &c.Column, &c.Revision, &c.Author.Name, &c.Author.Hue); err != nil {
			return nil, err
		}
		cards = append(cards, c)
	}
	return cards, rows.Err()
}

// card returns one card.
func (b *board) card(ctx context.Context, id int64) (c card, err error) {
	err = b.db.QueryRowContext(ctx, "select id, text, list, revision, author, hue from card where id = ?", id).
		Scan(&c.ID, &c.Text, &c.Column, &c.Revision, &c.Author.Name, &c.Author.Hue)
	if errors.Is(err, sql.ErrNoRows) {
		err = errUnknown
	}
	return c, err
}

// add puts a new card at the end of a column and returns its ID.
func (b *board) add(ctx context.Context, to column, text string, by author) (id int64, err error) {
	if text, err = checkText(text); err != nil {
		return 0, err
	}
	err = b.transact(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRow("select count(*) from card").Scan(&n); err != nil {
			return err
		}
		if n >= maxCards {
			return errFull
		}
		id, err = insert(tx, card{Text: text, Column: to, Author: by})
		return err
	})
	return id, err
}

// edit gives a card another text. The revision is the one that the visitor has
// seen: nobody's work is overwritten unread.
func (b *board) edit(ctx context.Context, id, revision int64, text string, by author) error {
	text, err := checkText(text)
	if err != nil {
		return err
	}
	return b.transact(ctx, func(tx *sql.Tx) error {
		var now int64
		var other string
		err := tx.QueryRow("select revision, author from card where id = ?", id).Scan(&now, &other)
		if errors.Is(err, sql.ErrNoRows) {
			return errUnknown
		} else if err != nil {
			return err
		}
		if now != revision {
			return errChanged(other)
		}
		_, err = tx.Exec("update card set text = ?, revision = revision + 1, author = ?, hue = ? where id = ?", text, by.Name, by.Hue, id)
		return err
	})
}

// move puts a card somewhere else. If the card that it is to be in front of has
// gone from the column, it goes to the end.
func (b *board) move(ctx context.Context, id int64, to place, by author) error {
	if to.Column != todo && to.Column != doing && to.Column != done {
		return errColumn
	}
	return b.transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.Exec("update card set list = ?, author = ?, hue = ? where id = ?", to.Column, by.Name, by.Hue, id)
		if err := changedOne(result, err); err != nil {
			return err
		}
		order, err := idsOf(tx, to.Column)
		if err != nil {
			return err
		}
		order = slices.DeleteFunc(order, func(other int64) bool { return other == id })
		at := slices.Index(order, to.Before)
		if at < 0 {
			at = len(order)
		}
		for i, id := range slices.Insert(order, at, id) {
			if _, err := tx.Exec("update card set position = ? where id = ?", i, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// delete takes a card off the board.
func (b *board) delete(ctx context.Context, id int64) error {
	return b.transact(ctx, func(tx *sql.Tx) error {
		return changedOne(tx.Exec("delete from card where id = ?", id))
	})
}

// transact commits what do has done, unless it fails.
func (b *board) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after Commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func insert(tx *sql.Tx, c card) (id int64, err error) {
	result, err := tx.Exec(`insert into card (text, list, position, author, hue)
		values (?, ?, (select coalesce(max(position), 0) + 1 from card), ?, ?)`, c.Text, c.Column, c.Author.Name, c.Author.Hue)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// idsOf returns the IDs of a column's cards, from top to bottom.
func idsOf(tx *sql.Tx, c column) (ids []int64, err error) {
	rows, err := tx.Query("select id from card where list = ? order by position, id", c)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// changedOne returns errUnknown if a statement has found no card.
func changedOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return errUnknown
}
