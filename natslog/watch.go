package natslog

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"example.org/sse/backplane"
)

// Watch implements [backplane.Store]. A slow fn delays nothing: only the newest revision of
// each record waits for it.
func (s *Store) Watch(ctx context.Context, prefix string, fn func(batch []backplane.Record, live bool) error) error {
	w := &watcher{
		store: s, prefix: prefix, wake: make(chan struct{}, 1),
		known: make(map[string]uint64), pending: make(map[string]backplane.Record),
	}
	ctx, cancel := context.WithCancel(ctx)
	var feeding sync.WaitGroup
	var failure error
	feeding.Go(func() {
		failure = (&feed{stream: &s.stream, begin: w.begin, handle: w.handle}).run(ctx)
		cancel()
	})
	err := w.deliver(ctx, fn)
	cancel()
	feeding.Wait()
	if err == nil {
		err = failure
	}
	return err
}

// A watcher is one call of Watch. One goroutine receives what the server sends, so that
// the consumer never falls behind what the stream keeps; the caller's goroutine calls fn.
type watcher struct {
	store  *Store
	prefix string
	wake   chan struct{} // receives when records are pending, or live has changed

	// Used by the feed only.
	known map[string]uint64 // revisions of the records that exist
	stale map[string]uint64 // the known ones that were not read again since the last begin
	last  uint64            // the newest revision read
	ever  uint64            // the newest one that ever was, at the last begin
	doubt doubt

	mu      sync.Mutex
	pending map[string]backplane.Record
	live    bool
}

// deliver calls fn with what is pending until fn returns an error, which deliver returns,
// or the context ends.
func (w *watcher) deliver(ctx context.Context, fn func(batch []backplane.Record, live bool) error) error {
	for first := true; ; {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil
		}
		w.mu.Lock()
		batch := make([]backplane.Record, 0, len(w.pending))
		for _, r := range w.pending {
			batch = append(batch, r)
		}
		clear(w.pending)
		live := w.live
		w.mu.Unlock()
		if len(batch) == 0 && (!live || !first) {
			continue
		}
		slices.SortFunc(batch, func(a, b backplane.Record) int { return cmp.Compare(a.Rev, b.Rev) })
		if err := fn(batch, live); err != nil {
			return err
		}
		first = first && !live
	}
}

// begin starts to read the whole stream again. The stream has at most one message for each
// record, and records that are not in it were deleted in the meantime.
func (w *watcher) begin(ctx context.Context) (span, error) {
	info, err := w.store.ensure(ctx)
	if err != nil {
		return span{}, err
	}
	if w.doubt.holds(info, w.last) {
		return span{}, errNewConsumer
	}
	s := span{next: 1, last: info.State.LastSeq}
	if info.State.Messages > 0 {
		m, err := w.store.message(ctx, 0, w.store.config.Subjects[0])
		if err != nil {
			return span{}, err
		}
		s.end = m.Seq
	}
	w.stale, w.ever = maps.Clone(w.known), s.last
	return s, nil
}

func (w *watcher) handle(messages []message, live bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		w.last = m.seq
		token, _ := strings.CutPrefix(m.Subject, w.store.prefix)
		key, ok := unescape(token)
		if !ok || !strings.HasPrefix(key, w.prefix) {
			continue
		}
		delete(w.stale, key)
		r := backplane.Record{Key: key, Rev: m.seq, Value: valueOf(m.Header, m.Data)}
		before, known := w.known[key]
		switch {
		case known && before == r.Rev, !known && r.Value == nil:
			continue // nothing has changed
		case r.Value == nil:
			delete(w.known, key)
		default:
			w.known[key] = r.Rev
		}
		w.pending[key] = r
	}
	if live {
		for key, rev := range w.stale {
			delete(w.known, key)
			w.pending[key] = backplane.Record{Key: key, Rev: max(rev, w.ever)}
		}
		w.stale = nil
		w.live = true
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}
