package pglog

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"

	"example.org/sse/backplane"
)

// sequenceRows is how many entries of transactions are numbered at once.
const sequenceRows = 1000

// Tx returns an outbox in a transaction: an entry that is put into it is in the log if, and
// only if, the transaction commits. Pass it to the DispatchIn method of a set in package sse.
//
//	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
//		if _, err := tx.Exec(ctx, "UPDATE cards …"); err != nil {
//			return err
//		}
//		return board.DispatchIn(ctx, entries.Tx(tx), "", event)
//	})
//
// Put inserts one row, which nothing else in the database waits for, and so takes no lock
// that outlives the statement. After the commit, a process that follows the log numbers the
// row: this one within some milliseconds of the commit; others, if this one does not follow
// the log, as often as they look without a notification, see Options.Poll. [Log.Flush] is for
// those who want it at once.
//
// Entries of transactions have the order in which they were put, except that an entry whose
// transaction was still open when later ones were numbered comes after them. So if two
// transactions change the same row, and each puts its entry after its change, their entries
// have the order of their changes. An entry that was put before a call of Append, in a
// transaction that had been committed, comes before the entry of that call.
//
// An id that has been used within the last two minutes adds nothing, as in Append.
func (l *Log) Tx(tx pgx.Tx) backplane.Outbox {
	return outbox{l, func(ctx context.Context, query string, args ...any) (int64, error) {
		tag, err := tx.Exec(ctx, query, args...)
		return tag.RowsAffected(), err
	}}
}

// SQLTx is Tx for a transaction of package database/sql, with any driver for PostgreSQL: those of
// pgx and lib/pq were tried.
func (l *Log) SQLTx(tx *sql.Tx) backplane.Outbox {
	return outbox{l, func(ctx context.Context, query string, args ...any) (int64, error) {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}}
}

// An outbox is a transaction's.
type outbox struct {
	log  *Log
	exec func(ctx context.Context, query string, args ...any) (rows int64, err error)
}

// Log implements [backplane.Outbox].
func (o outbox) Log() backplane.Log { return o.log }

// Put implements [backplane.Outbox].
func (o outbox) Put(ctx context.Context, id string, data []byte) error {
	if err := backplane.CheckEntry(id, data); err != nil {
		return err
	}
	if data == nil {
		data = []byte{} // not null
	}
	s := &o.log.server
	u := uuidOf(id)
	// The log has another id if it was made again. Then no row is inserted.
	rows, err := o.exec(ctx, s.sql("INSERT INTO pglog.outbox (log, id, data) SELECT l.id, $2::text::uuid, $3::bytea FROM pglog.log l WHERE l.id = $1::integer"),
		s.id.Load(), fmt.Sprintf("%x", u.Bytes), data)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", s.what, err)
	case rows != 1:
		return fmt.Errorf("%s: the log was deleted, or is not in the database of this transaction", s.what)
	}
	s.topic.notePut()
	return nil
}

// Flush returns when all entries of transactions that were committed before the call have
// their place in the log, and wakes the followers in all processes. It is for entries that
// must not wait until a follower looks, and for programs that follow no log themselves. If
// Flush fails, that place is found later.
func (l *Log) Flush(ctx context.Context) error {
	_, err := l.flushes.do(ctx, struct{}{}, 0)
	return err
}

func (l *Log) sendFlush(ctx context.Context, conn *pgx.Conn, _ []*call[struct{}, struct{}]) error {
	_, err := l.sequence(ctx, conn, true, false)
	return err
}

// sequence numbers the entries in the outbox. It reports whether there may be more, which is
// so if another process numbers entries, and wait is false. all is to look at the whole outbox.
func (l *Log) sequence(ctx context.Context, conn *pgx.Conn, wait, all bool) (more bool, err error) {
	for {
		var found int32
		err := l.server.query(ctx, conn, func(row pgx.CollectableRow) error { return row.Scan(&found) },
			l.server.sql("SELECT pglog.sequence1($1, $2, $3, $4)"), l.server.id.Load(), int32(sequenceRows), wait, all)
		if err != nil {
			return true, err
		}
		if found > 0 {
			l.server.notifier.notify()
			l.appended.Add(int64(found))
		}
		if found < sequenceRows {
			return found < 0, nil
		}
	}
}
