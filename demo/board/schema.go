package board

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// schemas are applied to a file in this order. The file's user_version is the
// number of those that it already has.
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
	version integer not null, -- of the cards: incremented by each change
	shown integer not null,   -- the version that everybody has been shown
	card integer not null     -- the card of the last change
);
-- Versions start at the time, so that no two boards have the same.
insert into outbox values (unixepoch() * 1000, unixepoch() * 1000, 0)`,
}

// openStore opens the file, which it creates if it does not exist.
func openStore(ctx context.Context, path string) (*store, error) {
	// Other processes may use the file: wait for them instead of failing. With a
	// write-ahead log, readers do not even wait.
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("board %s: %w", path, err)
	}
	s := &store{db: db}
	err = s.prepare(ctx)
	// SQLite does not wait when processes begin the write-ahead log at the same time.
	for tries := 0; isBusy(err) && tries < 50; tries++ {
		select {
		case <-time.After(100 * time.Millisecond):
			err = s.prepare(ctx)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("board %s: %w", path, errors.Join(err, db.Close()))
	}
	return s, nil
}

// isBusy reports whether an error means that another process has the file locked.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// prepare applies the schemas that the file lacks, and fills new tables.
func (s *store) prepare(ctx context.Context) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
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
			if err := s.fill(tx, i); err != nil {
				return err
			}
		}
		_, err := tx.Exec(fmt.Sprintf("pragma user_version = %d", max(version, len(schemas))))
		return err
	})
}

// fill inserts the first rows of a schema's tables.
func (s *store) fill(tx *sql.Tx, schema int) error {
	switch schema {
	case 0:
		for _, c := range firstCards() {
			if _, err := s.insert(tx, c); err != nil {
				return err
			}
		}
	case 1:
		key := make([]byte, 32)
		rand.Read(key) // never fails
		_, err := tx.Exec(s.sql("insert into secret (key) values (?)"), key)
		return err
	}
	return nil
}

// key returns the key that page tokens are signed with. It is stored, so that
// pages stay valid after a restart, and in all processes that have the file.
func (s *store) key(ctx context.Context) (key []byte, err error) {
	err = s.db.QueryRowContext(ctx, "select key from secret").Scan(&key)
	return key, err
}
