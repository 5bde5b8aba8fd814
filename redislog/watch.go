package redislog

import (
	"context"
	"fmt"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/records"
)

// Watch implements [backplane.Store]. It holds a connection of the client for messages. It
// also asks without a message, once a second and when a record expires: watchers delete
// expired records, and each [Store.Swap] deletes some of them.
//
// If the server has lost changes, a record that was lost is passed to fn as deleted. A record
// that is back in an earlier state is passed to fn as deleted, and then in that state with its
// earlier revision.
//
// Watch returns an error of the server if the server refuses the request, and retries after
// any other error.
func (s *Store) Watch(ctx context.Context, prefix string, fn func(batch []backplane.Record, live bool) error) error {
	wake, stop := s.server.listen(ctx)
	defer stop()
	w := watcher{store: s, prefix: prefix}
	for {
		if err := w.readAll(ctx, fn); err != nil {
			return err
		}
		for {
			p, err := w.changes(ctx)
			if err != nil {
				return err
			}
			if p.lost {
				break
			}
			if batch := w.known.Update(p.records); len(batch) > 0 {
				if err := fn(batch, p.live); err != nil {
					return err
				}
			}
			if p.live {
				sleep(ctx, p.wait, wake)
			}
		}
	}
}

// A watcher is one call of Watch.
type watcher struct {
	store  *Store
	prefix string
	known  records.Known // what fn has been given
	rev    string        // all changes up to this revision have been read
	token  string        // of that change
}

// readAll reads all records and passes to fn those that have changed or were deleted since it
// knew them.
func (w *watcher) readAll(ctx context.Context, fn func([]backplane.Record, bool) error) error {
	present, err := w.snapshot(ctx)
	if err != nil {
		return err
	}
	return fn(w.known.Replace(present), true)
}

// snapshot returns all records as they are at w.rev, and those that were deleted while it was
// reading.
func (w *watcher) snapshot(ctx context.Context) (map[string]backplane.Record, error) {
again:
	for {
		w.rev, w.token = "", ""
		if _, err := w.changes(ctx); err != nil {
			return nil, err
		}
		present := make(map[string]backplane.Record)
		for at := "0"; ; {
			fields, err := w.request(ctx, w.store.request(scanScript, at, w.prefix))
			if err != nil {
				return nil, err
			}
			if len(fields)%3 != 1 {
				return nil, w.invalid(fields)
			}
			at, _ = fields[0].(string)
			for fields = fields[1:]; len(fields) >= 3; fields = fields[3:] {
				if record, ok := parseRecord(fields[0], fields[1], fields[2]); ok {
					present[record.Key] = record
				}
			}
			if at == "0" {
				break
			}
		}
		// The records were read one after the other. Together with the changes since then
		// they are the state at one moment, and if no change was lost, no record is missing.
		for {
			p, err := w.changes(ctx)
			if err != nil {
				return nil, err
			}
			if p.lost {
				continue again
			}
			for _, record := range p.records {
				present[record.Key] = record
			}
			if p.live {
				return present, nil
			}
		}
	}
}

// A changesPage is the result of one read of the changes.
type changesPage struct {
	records []backplane.Record
	live    bool          // there are no more
	lost    bool          // the changes since the last page are no longer kept
	wait    time.Duration // until there may be more without a message
}

// changes reads the changes after w.rev, and moves w.rev.
func (w *watcher) changes(ctx context.Context) (p changesPage, err error) {
	fields, err := w.request(ctx, w.store.request(changesScript, w.rev, w.token, w.prefix, batchBytes))
	if err != nil {
		return p, err
	}
	if len(fields) == 0 {
		p.lost = true
		return p, nil
	}
	if len(fields)%4 != 0 {
		return p, w.invalid(fields)
	}
	p.live = fields[0] == int64(1)
	p.wait = pollInterval
	if ms, ok := fields[1].(int64); ok && ms >= 0 {
		p.wait = min(p.wait, time.Duration(ms+1)*time.Millisecond)
	}
	w.rev, _ = fields[2].(string)
	w.token, _ = fields[3].(string)
	for fields = fields[4:]; len(fields) >= 4; fields = fields[4:] {
		record, ok := parseRecord(fields[0], fields[1], fields[3])
		if !ok {
			return p, w.invalid(fields[:4])
		}
		if fields[2] == "1" {
			record.Value = nil
		}
		p.records = append(p.records, record)
	}
	return p, nil
}

func (w *watcher) request(ctx context.Context, r request) ([]any, error) {
	reply, _, err := w.store.server.do(ctx, 0, r)
	if err != nil {
		return nil, final(ctx, err)
	}
	fields, ok := reply.([]any)
	if !ok {
		return nil, w.invalid(reply)
	}
	return fields, nil
}

func (w *watcher) invalid(reply any) error {
	return fmt.Errorf("%s: invalid reply: %v", w.store.server.what, reply)
}

func parseRecord(key, rev, value any) (backplane.Record, bool) {
	k, ok1 := key.(string)
	v, ok2 := value.(string)
	r, ok3 := number(rev, 64)
	return backplane.Record{Key: k, Rev: r, Value: []byte(v)}, ok1 && ok2 && ok3
}
