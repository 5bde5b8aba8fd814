package pglog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
)

const (
	defaultHistory      = 10_000
	defaultHistoryBytes = 64 << 20

	trimEvery    = 500              // entries that a process has added
	trimInterval = 30 * time.Second // of a follower, for what is kept for three minutes
	trimRows     = 2000             // deleted at once
)

// Options are the settings of a log. All processes that append to it should use the same.
type Options struct {
	// Schema is the name of the schema with the package's tables, which any number of logs
	// and stores share; "": "pglog".
	Schema string

	// History and HistoryBytes limit the entries that are kept, and so how far behind a
	// follower may be: by number, 0: 10,000; by size of their data, 0: 64 MiB. A negative
	// value means no limit. The newest entry is always kept. The tables have the entries of
	// the last three minutes as well.
	History      int
	HistoryBytes int

	// Listen is where to connect for notifications, if that is not where the pool connects:
	// the server itself, if the pool connects to a pooler that gives a connection to another
	// client after each transaction. A process has one such connection for each pool and
	// schema, made as the first Follow or Watch wants it. NoListen is for none.
	Listen   *pgx.ConnConfig
	NoListen bool

	// Poll is how often to look for entries without a notification: those of transactions
	// that another program has committed, and all if there are no notifications. 0: every
	// 2 s with notifications, and every 100 ms without.
	Poll time.Duration
}

// A Log is a [backplane.Log] in a PostgreSQL database. Its methods may be called from any
// goroutine. There is nothing to close: it has a connection of its own only while Follow runs.
type Log struct {
	server   server
	options  Options
	appends  gatherer[entry, int64]
	flushes  gatherer[struct{}, struct{}]
	appended atomic.Int64 // entries, since the last time that some were deleted

	heard   atomic.Int64 // when a follower last heard from the server, in ns since 1970
	allSeen atomic.Int64 // when a follower last looked at the whole outbox, in ns since 1970
}

var (
	_ backplane.Log     = (*Log)(nil)
	_ backplane.Monitor = (*Log)(nil)
)

// An entry is what a call of Append adds.
type entry struct {
	id   pgtype.UUID
	data []byte
}

// Open returns the log of the given name, and creates it if it does not exist; o may be nil.
// It makes the schema, too, if it does not exist and the user may make it; see [Schema]. The
// name may be any 1 to [backplane.MaxKey] bytes. Open retries until the context ends: set a
// deadline if the program should fail rather than wait for a server. The error then contains
// the failure of the last attempt. Open fails at once if the server refuses, or is older than
// PostgreSQL 14.
//
// The pool remains the caller's: it must outlive the log. After it is closed, all methods fail
// with [backplane.ErrClosed].
func Open(ctx context.Context, pool *pgxpool.Pool, name string, o *Options) (*Log, error) {
	l := new(Log)
	if o != nil {
		l.options = *o
	}
	l.options.History = limit(l.options.History, defaultHistory)
	l.options.HistoryBytes = limit(l.options.HistoryBytes, defaultHistoryBytes)
	l.appends = gatherer[entry, int64]{server: &l.server, send: l.sendAppends, after: l.afterAppends}
	l.flushes = gatherer[struct{}, struct{}]{server: &l.server, send: l.sendFlush, after: func(int) { l.trimIfDue() }}
	if err := l.server.init(pool, "log", name, l.options.store()); err != nil {
		return nil, err
	}
	if err := l.server.open(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// store returns the options that logs and stores share.
func (o Options) store() StoreOptions {
	return StoreOptions{Schema: o.Schema, Listen: o.Listen, NoListen: o.NoListen, Poll: o.Poll}
}

func limit(value, def int) int {
	if value = cmp.Or(value, def); value < 0 {
		return math.MaxInt
	}
	return value
}

// uuidOf returns what stands for an id in the tables: the beginning of its SHA-256, which is
// long enough that no two ids have the same, and begins with the nonce of the entry's cursor.
func uuidOf(id string) (u pgtype.UUID) {
	sum := sha256.Sum256([]byte(id))
	copy(u.Bytes[:], sum[:])
	u.Valid = true
	return u
}

// Append implements [backplane.Log]. It returns when the server has committed the entry, which
// waits for its disk as synchronous_commit says. Calls that come while one is in progress
// are one transaction.
//
// If the server does not answer, Append retries until the context ends, but for at most a
// minute, and then returns [backplane.ErrIndeterminate]. An error that wraps none of that
// package's errors is the server's refusal.
//
// Append uses a connection of the pool. In a transaction of the same pool it waits for another
// one; there use [Log.Tx].
func (l *Log) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if err := backplane.CheckEntry(id, data); err != nil {
		return backplane.Cursor{}, err
	}
	if data == nil {
		data = []byte{} // not null
	}
	seq, err := l.appends.do(ctx, entry{uuidOf(id), data}, len(data))
	if err != nil {
		return backplane.Cursor{}, err
	}
	return backplane.CursorOf(uint64(seq), id), nil //nolint:gosec // from 1 on
}

func (l *Log) sendAppends(ctx context.Context, conn *pgx.Conn, calls []*call[entry, int64]) error {
	ids, data := make([]pgtype.UUID, len(calls)), make([][]byte, len(calls))
	for i, c := range calls {
		ids[i], data[i] = c.question.id, c.question.data
	}
	var seqs []int64
	for seqs == nil { // once more after many entries of transactions
		err := l.server.query(ctx, conn, func(row pgx.CollectableRow) error { return row.Scan(&seqs) },
			l.server.sql("SELECT pglog.append1($1, $2, $3)"), l.server.id.Load(), ids, data)
		if err != nil {
			return err
		}
	}
	if len(seqs) != len(calls) {
		return finalError{fmt.Errorf("%w: invalid reply to Append: %d numbers for %d entries", backplane.ErrIndeterminate, len(seqs), len(calls))}
	}
	for i, c := range calls {
		c.answer = seqs[i]
	}
	return nil
}

// afterAppends runs after a request, before the next one.
func (l *Log) afterAppends(n int) {
	l.server.notifier.notify()
	l.appended.Add(int64(n))
	l.trimIfDue()
}

// trimIfDue has old entries deleted after every 500 new ones. It must not be called with a
// connection of the pool, which may have only one.
func (l *Log) trimIfDue() {
	if l.appended.Load() < trimEvery {
		return
	}
	l.appended.Store(0)
	_, _ = l.trim(context.Background()) // or after the next ones
}

// trim deletes old entries, and reports whether there may be more.
func (l *Log) trim(ctx context.Context) (more bool, err error) {
	var n int64
	_, err = l.server.attempt(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return l.server.query(ctx, conn, func(row pgx.CollectableRow) error { return row.Scan(&n) },
			l.server.sql("SELECT pglog.trim1($1, $2, $3, $4)"), l.server.id.Load(), int64(l.options.History), int64(l.options.HistoryBytes), int32(trimRows))
	})
	return n == trimRows, err
}
