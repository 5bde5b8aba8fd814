package redislog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"example.org/sse/backplane"
)

// Watch is [backplane.Store].Watch. It keeps a connection of the client's for
// messages, and asks without any once a second, and when a record expires: the
// watchers are who removes those, and each [Store.Swap] does some.
//
// Should the server have lost changes, a record that is gone with them is told to
// be gone, and one that is as it was before is told as such, with its revision of
// then, after one that says that it is gone.
//
// An error of the server's is returned if it says that the server refuses; after
// any other Watch tries again.
func (s *Store) Watch(ctx context.Context, prefix string, fn func(batch []backplane.Record, live bool) error) error {
	wake, stop := s.server.listen(ctx)
	defer stop()
	w := watcher{store: s, prefix: prefix, known: make(map[string]uint64)}
	for {
		if err := w.all(ctx, fn); err != nil {
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
			if batch := w.news(p.records); len(batch) > 0 {
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

// A watcher is one that knows which records it has told of.
type watcher struct {
	store  *Store
	prefix string
	known  map[string]uint64 // revisions of the records that are there, as far as told
	told   uint64            // the greatest revision
	rev    string            // all changes up to this one have been read
	token  string            // of that change
}

// all reads all records and tells of those that are not known, or not known to be
// gone.
func (w *watcher) all(ctx context.Context, fn func([]backplane.Record, bool) error) error {
	present, err := w.snapshot(ctx)
	if err != nil {
		return err
	}
	// Of these it is not known when they went: before all that is new, and after
	// all that was told.
	var gone []backplane.Record
	for key, rev := range w.known {
		if record, ok := present[key]; !ok || record.Value != nil && record.Rev < rev {
			gone = append(gone, backplane.Record{Key: key, Rev: w.told + 1})
		}
	}
	var batch []backplane.Record
	for key, record := range present {
		if rev, known := w.known[key]; record.Rev != rev && (record.Value != nil || known) {
			batch = append(batch, record)
		}
	}
	slices.SortFunc(batch, func(a, b backplane.Record) int { return cmp.Compare(a.Rev, b.Rev) })
	batch = append(gone, batch...)
	clear(w.known)
	for key, record := range present {
		if record.Value != nil {
			w.known[key] = record.Rev
		}
	}
	w.tell(batch)
	return fn(batch, true)
}

// snapshot returns all records as they are at w.rev, and those that have gone
// while it read.
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
				return nil, w.wrong(fields)
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
		// The records were read one after the other. With the changes since they are
		// as they were at one moment, and if these are not lost, neither is a record.
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

// news returns the records that fn has not been told of, and takes them for
// known.
func (w *watcher) news(records []backplane.Record) []backplane.Record {
	batch := records[:0]
	for _, record := range records {
		rev, ok := w.known[record.Key]
		switch {
		case record.Value == nil && !ok, record.Rev <= rev:
			continue
		case record.Value == nil:
			delete(w.known, record.Key)
		default:
			w.known[record.Key] = record.Rev
		}
		batch = append(batch, record)
	}
	w.tell(batch)
	return batch
}

// tell notes what fn is about to be told.
func (w *watcher) tell(batch []backplane.Record) {
	for _, record := range batch {
		w.told = max(w.told, record.Rev)
	}
}

// A changesPage is what one request has read of the changes.
type changesPage struct {
	records []backplane.Record
	live    bool          // there are no more
	lost    bool          // the changes since the last page are no longer kept
	wait    time.Duration // until there can be more without a message
}

// changes reads what follows w.rev, and moves it.
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
		return p, w.wrong(fields)
	}
	p.live = fields[0] == int64(1)
	p.wait = lookEvery
	if ms, ok := fields[1].(int64); ok && ms >= 0 {
		p.wait = min(p.wait, time.Duration(ms+1)*time.Millisecond)
	}
	w.rev, _ = fields[2].(string)
	w.token, _ = fields[3].(string)
	for fields = fields[4:]; len(fields) >= 4; fields = fields[4:] {
		record, ok := parseRecord(fields[0], fields[1], fields[3])
		if !ok {
			return p, w.wrong(fields[:4])
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
		return nil, w.wrong(reply)
	}
	return fields, nil
}

func (w *watcher) wrong(reply any) error {
	return fmt.Errorf("%s: not an answer: %v", w.store.server.what, reply)
}

func parseRecord(key, rev, value any) (backplane.Record, bool) {
	k, ok1 := key.(string)
	v, ok2 := value.(string)
	r, ok3 := number(rev, 64)
	return backplane.Record{Key: k, Rev: r, Value: []byte(v)}, ok1 && ok2 && ok3
}
