package board

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A column of the board, by its name in the database.
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
	Revision int64  // incremented by each change of the text
	Author   author // of the last change
}

// A place on the board is before another card, or at the end of a column.
type place struct {
	Column column
	Before int64 // the other card's ID; 0 is the end of the column
}

// A store keeps the cards in a SQLite file, which several processes may have open, or
// in a PostgreSQL database. A method that changes something returns when the change is
// on disk.
type store struct {
	db      *sql.DB
	writing sync.Mutex // SQLite allows one writer: the others wait here, in order

	// In PostgreSQL, showIn shows the board to everybody if the transaction commits.
	pool   *pgxpool.Pool
	showIn func(ctx context.Context, tx *sql.Tx, cards []card, changed int64) error
}

func (s *store) close() error {
	err := s.db.Close()
	if s.pool != nil {
		s.pool.Close()
	}
	return err
}

// sql returns a statement whose parameters are question marks for the database:
// PostgreSQL numbers them.
func (s *store) sql(statement string) string {
	if s.pool == nil {
		return statement
	}
	var b strings.Builder
	for i, part := range strings.Split(statement, "?") {
		if i > 0 {
			fmt.Fprint(&b, "$", i)
		}
		b.WriteString(part)
	}
	return b.String()
}

// cards returns all cards, from top to bottom.
func (s *store) cards(ctx context.Context) ([]card, error) { return readCards(ctx, s.db) }

// A querier is the database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readCards(ctx context.Context, from querier) (cards []card, err error) {
	rows, err := from.QueryContext(ctx, "select id, text, list, revision, author, hue from card order by position, id")
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

// card returns the card with that ID.
func (s *store) card(ctx context.Context, id int64) (c card, err error) {
	err = s.db.QueryRowContext(ctx, s.sql("select id, text, list, revision, author, hue from card where id = ?"), id).
		Scan(&c.ID, &c.Text, &c.Column, &c.Revision, &c.Author.Name, &c.Author.Hue)
	if errors.Is(err, sql.ErrNoRows) {
		err = errUnknown
	}
	return c, err
}

// add adds a card at the end of a column and returns its ID.
func (s *store) add(ctx context.Context, to column, text string, by author) (id int64, err error) {
	if text, err = checkText(text); err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) (int64, error) {
		if id, err = s.insert(tx, card{Text: text, Column: to, Author: by}); err != nil {
			return 0, err
		}
		return id, fits(ctx, tx)
	})
	return id, err
}

// edit changes a card's text. The revision is the one that the visitor has seen:
// if the card has a newer one, edit fails, and nobody's work is overwritten unread.
func (s *store) edit(ctx context.Context, id, revision int64, text string, by author) error {
	text, err := checkText(text)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) (int64, error) {
		var now int64
		var other string
		err := tx.QueryRow(s.sql("select revision, author from card where id = ?"), id).Scan(&now, &other)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, errUnknown
		} else if err != nil {
			return 0, err
		}
		if now != revision {
			return 0, errChanged(other)
		}
		_, err = tx.Exec(s.sql("update card set text = ?, revision = revision + 1, author = ?, hue = ? where id = ?"), text, by.Name, by.Hue, id)
		if err != nil {
			return 0, err
		}
		return id, fits(ctx, tx)
	})
}

// fits returns errFull if the board is too large.
func fits(ctx context.Context, tx *sql.Tx) error {
	cards, err := readCards(ctx, tx)
	if err != nil {
		return err
	}
	size := 0
	for _, c := range cards {
		size += len(template.HTMLEscapeString(c.Text))
	}
	if len(cards) > maxCards || size > maxBoard {
		return errFull
	}
	return nil
}

// move moves a card to a place. If the card of place.Before is no longer in the
// column, the place is the end of the column.
func (s *store) move(ctx context.Context, id int64, to place, by author) error {
	if to.Column != todo && to.Column != doing && to.Column != done {
		return errColumn
	}
	return s.change(ctx, func(tx *sql.Tx) (int64, error) {
		result, err := tx.Exec(s.sql("update card set list = ?, author = ?, hue = ? where id = ?"), to.Column, by.Name, by.Hue, id)
		if err := changedOne(result, err); err != nil {
			return 0, err
		}
		order, err := s.idsOf(tx, to.Column)
		if err != nil {
			return 0, err
		}
		order = slices.DeleteFunc(order, func(other int64) bool { return other == id })
		at := slices.Index(order, to.Before)
		if at < 0 {
			at = len(order)
		}
		for i, id := range slices.Insert(order, at, id) {
			if _, err := tx.Exec(s.sql("update card set position = ? where id = ?"), i, id); err != nil {
				return 0, err
			}
		}
		return id, nil
	})
}

// delete deletes a card.
func (s *store) delete(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *sql.Tx) (int64, error) {
		return id, changedOne(tx.Exec(s.sql("delete from card where id = ?"), id))
	})
}

// change changes the cards and records that the board must be shown; see show. It
// completes even if the author's request is canceled.
//
// In PostgreSQL the transaction shows the board, and nothing needs to be recorded.
// There, too, one change is made at a time: a board has all changes before it.
func (s *store) change(ctx context.Context, do func(*sql.Tx) (id int64, err error)) error {
	ctx = context.WithoutCancel(ctx)
	return s.transact(ctx, func(tx *sql.Tx) error {
		if s.pool != nil {
			if _, err := tx.Exec("lock table card in exclusive mode"); err != nil {
				return err
			}
		}
		id, err := do(tx)
		if err != nil {
			return err
		}
		if s.pool != nil {
			cards, err := readCards(ctx, tx)
			if err != nil {
				return err
			}
			return s.showIn(ctx, tx, cards, id)
		}
		_, err = tx.Exec("update outbox set version = version + 1, card = ?", id)
		return err
	})
}

// transact calls do in a transaction, which it commits if do succeeds.
func (s *store) transact(ctx context.Context, do func(*sql.Tx) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *store) insert(tx *sql.Tx, c card) (id int64, err error) {
	err = tx.QueryRow(s.sql(`insert into card (text, list, position, author, hue)
		values (?, ?, (select coalesce(max(position), 0) + 1 from card), ?, ?) returning id`),
		c.Text, c.Column, c.Author.Name, c.Author.Hue).Scan(&id)
	return id, err
}

// idsOf returns the IDs of a column's cards, from top to bottom.
func (s *store) idsOf(tx *sql.Tx, c column) (ids []int64, err error) {
	rows, err := tx.Query(s.sql("select id from card where list = ? order by position, id"), c)
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

// changedOne returns errUnknown if a statement has changed no card.
func changedOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return errUnknown
}
