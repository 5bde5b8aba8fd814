package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
)

// schemas are what a board's file has got over time; its version is how many of
// them it has.
var schemas = []string{`
create table card (
	id integer primary key autoincrement,
	text text not null,
	list text not null,
	position integer not null,
	revision integer not null default 1,
	author text not null,
	hue integer not null
)`, `
create table secret (key blob not null)`, `
create table outbox (
	version integer not null, -- of the cards: one more with each change
	shown integer not null,   -- the version that has been shown to everybody
	card integer not null     -- the one that was changed last
);
-- Versions begin with the time: no other board has the same.
insert into outbox values (unixepoch() * 1000, unixepoch() * 1000, 0)`,
}

// openBoard opens the file, and makes it if there is none.
func openBoard(ctx context.Context, path string) (*board, error) {
	// Other processes may be at the file: wait for them, do not fail. With a
	// write-ahead log who reads does not even wait.
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("board %s: %w", path, err)
	}
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
		if err := tx.QueryRow("pragma user_version").Scan(&version); err != nil {
			return err
		}
		for i, schema := range schemas {
			if i < version {
				continue
			}
			if _, err := tx.Exec(schema); err != nil {
				return err
			}
			if err := fill(tx, i); err != nil {
				return err
			}
		}
		_, err := tx.Exec(fmt.Sprintf("pragma user_version = %d", max(version, len(schemas))))
		return err
	})
}

// fill gives new tables their first rows.
func fill(tx *sql.Tx, schema int) error {
	switch schema {
	case 0:
		for _, c := range firstCards() {
			if _, err := insert(tx, c); err != nil {
				return err
			}
		}
	case 1:
		key := make([]byte, 32)
		rand.Read(key) // never fails
		_, err := tx.Exec("insert into secret (key) values (?)", key)
		return err
	}
	return nil
}

// key returns what pages' tokens are signed with. It is kept, so that pages outlive
// a restart, and are at home in all processes that have the file.
func (b *board) key(ctx context.Context) (key []byte, err error) {
	err = b.db.QueryRowContext(ctx, "select key from secret").Scan(&key)
	return key, err
}
