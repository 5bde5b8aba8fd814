package pglog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"example.org/sse/backplane"
	"example.org/sse/internal/records"
)

// Watch implements [backplane.Store]. It listens as [Log.Follow] does, and also looks without a
// notification when a record expires: watchers delete expired records, and each [Store.Swap]
// deletes some of them.
//
// Whenever the server has been started, or another one has taken over, Watch reads all
// records again: the server may have an older state of the database. A record that was lost is
// passed to fn as deleted. A record that is back in an earlier state is passed to fn as
// deleted, and then in that state with its earlier revision.
//
// Watch returns an error of the server if the server refuses the request, and retries after
// any other error; it logs a warning if that lasts for 10 s.
func (s *Store) Watch(ctx context.Context, prefix string, fn func(batch []backplane.Record, live bool) error) error {
	sub := s.server.topic.subscribe()
	defer sub.stop()
	w := watcher{store: s, prefix: []byte(prefix)}
	for {
		batch, err := w.all(ctx)
		for first := true; err == nil; first = false {
			if len(batch) > 0 || first {
				if err := fn(batch, w.live); err != nil {
					return err
				}
			}
			if err = w.maintain(ctx, sub); err != nil {
				break
			}
			var p page
			if p, err = w.read(ctx); err != nil {
				break
			}
			if !w.take(&p) {
				break // read all again
			}
			batch = w.known.Update(p.records)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		}
	}
}

// A watcher is one call of Watch.
type watcher struct {
	store  *Store
	prefix []byte
	known  records.Known // what fn has been given

	rev    int64 // all changes up to this revision have been read
	origin origin
	live   bool
	wait   time.Duration // until a record is due; negative: none is
}

// An origin is what a store's revisions belong to.
type origin struct {
	id      int32 // of the store in the tables
	nonce   int64
	started int64 // when the server was started, in µs since 1970
}

// A page is the result of one read.
type page struct {
	origin  origin
	newest  int64 // revision of the store
	purged  int64
	wait    *int64 // ms
	records []backplane.Record
	live    bool
}

// read reads the changes after w.rev.
func (w *watcher) read(ctx context.Context) (p page, err error) {
	s := &w.store.server
	_, err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		p = page{}
		p.origin.id = s.id.Load()
		rows, size := 0, 0
		err := s.query(ctx, conn, func(row pgx.CollectableRow) error {
			var started time.Time
			var key, value []byte
			var rev *int64
			if err := row.Scan(&p.origin.nonce, &started, &p.newest, &p.purged, &p.wait, &key, &rev, &value); err != nil {
				return err
			}
			p.origin.started = started.UnixMicro()
			rows++
			if rev != nil {
				size += len(value)
				p.records = append(p.records, backplane.Record{Key: string(key), Rev: uint64(*rev), Value: value}) //nolint:gosec // from 1 on
			}
			return nil
		}, s.sql("SELECT * FROM pglog.watch1($1, $2, $3, $4, $5)"), p.origin.id, w.rev, w.prefix, int32(batchRows), int64(batchBytes))
		if err == nil && rows == 0 { // the store was deleted
			if err = s.find(ctx, conn); err == nil {
				err = errAgain
			}
		}
		p.live = rows < batchRows && size <= batchBytes-backplane.MaxData // there was room for one more
		return err
	})
	return p, err
}

// take moves w.rev to the end of a page. It reports false if changes before it may be missing.
func (w *watcher) take(p *page) bool {
	if w.origin != p.origin || w.rev < p.purged || p.newest < w.rev {
		return false
	}
	w.live, w.wait = p.live, -1
	if p.wait != nil {
		w.wait = max(0, time.Duration(*p.wait)*time.Millisecond)
	}
	if w.rev = p.newest; !p.live {
		w.rev = int64(p.records[len(p.records)-1].Rev) //nolint:gosec // from 1 on
	}
	return true
}

// all reads all records, and returns those that have changed or were deleted since fn has got
// them.
func (w *watcher) all(ctx context.Context) ([]backplane.Record, error) {
	present := make(map[string]backplane.Record)
	for w.rev, w.live = 0, false; !w.live; {
		p, err := w.read(ctx)
		if err != nil {
			return nil, err
		}
		if w.rev == 0 {
			clear(present)
			w.origin, p.purged = p.origin, 0
		}
		if !w.take(&p) {
			w.rev = 0
			continue
		}
		for _, record := range p.records {
			present[record.Key] = record
		}
	}
	return w.known.Replace(present), nil
}

// maintain waits until there may be changes, and deletes expired records.
func (w *watcher) maintain(ctx context.Context, sub *subscription) error {
	if !w.live || w.wait != 0 {
		if w.live {
			d := sub.interval()
			if w.wait > 0 {
				d = min(d, w.wait)
			}
			sleep(ctx, d, sub.woken)
		}
		return ctx.Err()
	}
	s := &w.store.server
	changed := false
	_, err := s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return s.query(ctx, conn, func(row pgx.CollectableRow) error { return row.Scan(&changed) }, s.sql("SELECT pglog.expire1($1)"), s.id.Load())
	})
	if changed {
		s.notifier.notify()
	}
	return err
}
