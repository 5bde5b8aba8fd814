package pglog

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
)

// StoreOptions are the settings of a store. Its fields are those of [Options].
type StoreOptions struct {
	Schema   string
	Listen   *pgx.ConnConfig
	NoListen bool
	Poll     time.Duration
}

// A Store is a [backplane.Store] in a PostgreSQL database. Its methods may be called from any
// goroutine. There is nothing to close.
//
// Revisions are the server's time in microseconds since 1970, or greater, so that they keep
// growing if an older state of the database is restored.
type Store struct {
	server server
	swaps  gatherer[swap, swapped]
}

var _ backplane.Store = (*Store)(nil)

// OpenStore returns the store of the given name, and creates it if it does not exist; o may
// be nil. Otherwise it is like [Open]. A log and a store may have the same name.
func OpenStore(ctx context.Context, pool *pgxpool.Pool, name string, o *StoreOptions) (*Store, error) {
	if o == nil {
		o = new(StoreOptions)
	}
	s := new(Store)
	s.swaps = gatherer[swap, swapped]{server: &s.server, send: s.sendSwaps, after: func(int) { s.server.notifier.notify() }}
	if err := s.server.init(pool, "store", name, *o); err != nil {
		return nil, err
	}
	if err := s.server.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// A swap is what a call of Swap changes.
type swap struct {
	key   []byte
	old   int64
	value []byte
	ttl   int64 // ms
	call  pgtype.UUID
}

// A swapped is the outcome of a swap.
type swapped struct {
	made    bool
	rev     int64
	present []byte
}

// Swap implements [backplane.Store]. It retries as [Log.Append] does, for at most a minute. If
// the server has already made the change in an attempt without an answer, a retry returns the
// outcome of that, or a conflict if the record has been changed again since.
func (s *Store) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if err := backplane.CheckRecord(key, value); err != nil {
		return backplane.Record{}, err
	}
	q := swap{key: []byte(key), old: math.MaxInt64, value: value, ttl: backplane.RoundTTL(ttl).Milliseconds()}
	if old < math.MaxInt64 { // no record has that revision
		q.old = int64(old)
	}
	rand.Read(q.call.Bytes[:]) // never fails
	q.call.Valid = true
	answer, err := s.swaps.do(ctx, q, len(key)+len(value))
	if err != nil {
		return backplane.Record{}, err
	}
	r := backplane.Record{Key: key, Rev: uint64(answer.rev), Value: value} //nolint:gosec // from 0 on
	if !answer.made {
		r.Value = answer.present
		return r, fmt.Errorf("%s: %w: revision %d, want %d", s.server.what, backplane.ErrConflict, r.Rev, old)
	}
	return r, nil
}

func (s *Store) sendSwaps(ctx context.Context, conn *pgx.Conn, calls []*call[swap, swapped]) error {
	var (
		keys, values [][]byte
		olds, ttls   []int64
		ids          []pgtype.UUID
		answers      []swapped
	)
	for _, c := range calls {
		q := &c.question
		keys, olds, values, ttls, ids = append(keys, q.key), append(olds, q.old), append(values, q.value), append(ttls, q.ttl), append(ids, q.call)
	}
	err := s.server.query(ctx, conn, func(row pgx.CollectableRow) error {
		var a swapped
		err := row.Scan(&a.made, &a.rev, &a.present)
		answers = append(answers, a)
		return err
	}, s.server.sql("SELECT * FROM pglog.swap1($1, $2, $3, $4, $5, $6)"), s.server.id.Load(), keys, olds, values, ttls, ids)
	if err != nil {
		return err
	}
	if len(answers) != len(calls) {
		return finalError{fmt.Errorf("%w: invalid reply to Swap: %d answers for %d changes", backplane.ErrIndeterminate, len(answers), len(calls))}
	}
	for i, c := range calls {
		c.answer = answers[i]
	}
	return nil
}
