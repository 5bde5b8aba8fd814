package pglog

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"example.org/sse/backplane"
)

const (
	soonest     = 2 * time.Millisecond // between two looks for entries of transactions
	soon        = time.Second          // for which to look more often after one was put
	allInterval = 5 * time.Second      // between two looks at the whole outbox
)

// Follow implements [backplane.Log]. While it runs, the process has a connection that listens
// for notifications, and numbers entries of transactions. It asks every 2 s without a
// notification; see Options.Poll.
//
// Follow returns an error of the server if the server refuses the request, and retries after
// any other error; it logs a warning if that lasts for 10 s.
func (l *Log) Follow(ctx context.Context, after backplane.Cursor, fn func(batch []backplane.Entry, live bool) error) error {
	sub := l.server.topic.subscribe()
	defer sub.stop()
	f := follower{log: l, sub: sub, pos: after, start: true}
	for called := false; ; {
		if err := f.read(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		live := f.pos.Seq == f.head
		if len(f.entries) > 0 || live && !called {
			called = called || live
			if err := fn(f.entries, live); err != nil {
				return err
			}
			clear(f.entries) // the next ones may be a long time away
		}
		more, err := f.maintain(ctx)
		if err != nil {
			return err
		}
		if live && !more {
			f.wait(ctx)
		}
	}
}

// Heard implements [backplane.Monitor]: it returns when a Follow last heard from the server, which it does at least every 2 s, or
// as often as Options.Poll says. It is the zero time before the first.
func (l *Log) Heard() time.Time {
	if ns := l.heard.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// A follower is one call of Follow.
type follower struct {
	log     *Log
	sub     *subscription
	pos     backplane.Cursor // the last entry, or the position before the first one
	start   bool             // pos is the cursor that Follow was called with
	entries []backplane.Entry
	head    uint64
	all     bool // the last read looked at the whole outbox
	waiting bool // there are entries to number
	busy    bool // another process numbers entries
	trimmed time.Time
}

// A row is one of read1's.
type row struct {
	head, total, nonce int64
	waiting            bool
	seq, sum           *int64
	id                 pgtype.UUID
	data               []byte
}

// read reads the entries after pos, and moves pos. It returns ErrGap unless the entries follow
// each other, and pos, without a hole.
func (f *follower) read(ctx context.Context) error {
	s := &f.log.server
	from := new(int64)
	switch {
	case f.start && f.pos == backplane.Newest:
		from = nil
	case f.pos.Seq < math.MaxInt64:
		*from = int64(f.pos.Seq) //nolint:gosec // compared
	default:
		return fmt.Errorf("%s: %w: entry %d", s.what, backplane.ErrGap, f.pos.Seq)
	}
	f.all = f.log.lookAtAll()
	var rows []row
	_, err := s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows = rows[:0]
		if f.start && f.pos == backplane.Oldest {
			err := s.query(ctx, conn, func(r pgx.CollectableRow) error { return r.Scan(from) }, s.sql("SELECT pglog.oldest1($1, $2, $3)"),
				s.id.Load(), int64(f.log.options.History), int64(f.log.options.HistoryBytes))
			if err != nil {
				return err
			}
		}
		err := s.query(ctx, conn, func(r pgx.CollectableRow) error {
			var one row
			rows = append(rows, one)
			p := &rows[len(rows)-1]
			return r.Scan(&p.head, &p.total, &p.nonce, &p.waiting, &p.seq, &p.sum, &p.id, &p.data)
		}, s.sql("SELECT * FROM pglog.read1($1, $2, $3, $4, $5)"), s.id.Load(), from, int32(batchRows), int64(batchBytes), f.all)
		if err == nil && len(rows) == 0 { // the log was deleted
			if err = s.find(ctx, conn); err == nil {
				err = errAgain
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := f.parse(rows, from); err != nil {
		return fmt.Errorf("%s: after entry %d: %w", s.what, f.pos.Seq, err)
	}
	f.log.heard.Store(time.Now().UnixNano())
	f.waiting = rows[0].waiting
	return nil
}

// lookAtAll reports whether it is time to look at the whole outbox; see low1 in schema.sql.
func (l *Log) lookAtAll() bool {
	is := time.Since(time.Unix(0, l.allSeen.Load())) > allInterval
	if is {
		l.allSeen.Store(time.Now().UnixNano())
	}
	return is
}

// parse takes the rows that were read from a number on.
func (f *follower) parse(rows []row, from *int64) error {
	f.entries = f.entries[:0]
	log := &rows[0]
	f.head = uint64(log.head)                           //nolint:gosec // from 0 on
	place := backplane.Cursor{Nonce: uint32(log.nonce)} //nolint:gosec // 32 bits
	if from == nil {
		from = &log.head
	}
	if rows[0].seq == nil {
		rows = nil
	}
	switch begin := *from; {
	case begin > log.head:
		return fmt.Errorf("%w: the newest entry is %d", backplane.ErrGap, log.head)
	case len(rows) > 0 && *rows[0].seq == begin:
		place = rows[0].cursor()
		if f.start && f.pos.Seq == place.Seq && f.tooOld(&rows[0]) {
			return fmt.Errorf("%w: it is no longer kept", backplane.ErrGap)
		}
		rows = rows[1:]
	case begin > 0 && !(f.start && f.pos == backplane.Oldest):
		return fmt.Errorf("%w: it is no longer kept", backplane.ErrGap)
	case begin > 0 && len(rows) > 0:
		place.Seq = uint64(*rows[0].seq) - 1 //nolint:gosec // from 1 on; older ones have just been deleted
	default:
		place.Seq = uint64(begin) //nolint:gosec // from 0 on
	}
	if !f.start || f.pos != backplane.Oldest && f.pos != backplane.Newest {
		if f.pos != place {
			return fmt.Errorf("%w: another entry has its number", backplane.ErrGap)
		}
	}
	for i := range rows {
		c := rows[i].cursor()
		if c.Seq != place.Seq+1 {
			return fmt.Errorf("%w: entry %d is followed by %d", backplane.ErrGap, place.Seq, c.Seq)
		}
		place = c
		f.entries = append(f.entries, backplane.Entry{Cursor: c, Data: rows[i].data})
	}
	f.pos, f.start = place, false
	return nil
}

// tooOld reports whether an entry is still in the tables, but not among those that are kept.
func (f *follower) tooOld(r *row) bool {
	o := &f.log.options
	return r.head-*r.seq >= int64(o.History) || r.total-*r.sum > int64(o.HistoryBytes)
}

func (r *row) cursor() backplane.Cursor {
	return backplane.Cursor{Seq: uint64(*r.seq), Nonce: binary.BigEndian.Uint32(r.id.Bytes[:])} //nolint:gosec // from 1 on
}

// maintain numbers entries of transactions, if there are any, and deletes old entries. It
// reports whether there are new entries to read.
func (f *follower) maintain(ctx context.Context) (more bool, err error) {
	f.busy = false
	if f.waiting {
		if _, err := f.log.server.do(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
			f.busy, err = f.log.sequence(ctx, conn, false, f.all)
			return err
		}); err != nil {
			return false, err
		}
		f.log.trimIfDue()
	}
	if time.Since(f.trimmed) > trimInterval && ctx.Err() == nil {
		for more := true; more; {
			if more, err = f.log.trim(ctx); err != nil {
				break // another time
			}
		}
		f.trimmed = time.Now()
	}
	return f.waiting && !f.busy, ctx.Err()
}

// wait waits for a notification, or until it is time to look without one.
func (f *follower) wait(ctx context.Context) {
	began := time.Now()
	for {
		d := f.sub.interval()
		since := began.Sub(time.Unix(0, f.sub.lastPut.Load()))
		switch {
		case f.busy, since < soonest:
			d = soonest
		case since < soon:
			d = min(d, since) // after 2, 4, 8 ms …: its transaction has not been committed yet
		}
		timer := time.NewTimer(time.Until(began.Add(d)))
		select {
		case <-f.sub.put:
			timer.Stop()
			continue
		case <-f.sub.woken:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		return
	}
}
