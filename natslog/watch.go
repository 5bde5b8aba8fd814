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

// Watch is [backplane.Store].Watch. A watcher that is slow holds up nothing: of
// each record the newest waits for it.
func (s *Store) Watch(ctx context.Context, prefix string, fn func(batch []backplane.Record, live bool) error) error {
	w := &watcher{
		store: s, prefix: prefix, news: make(chan struct{}, 1),
		known: make(map[string]uint64), pending: make(map[string]backplane.Record),
	}
	ctx, cancel := context.WithCancel(ctx)
	var feeding sync.WaitGroup
	var failure error
	feeding.Go(func() {
		failure = (&feed{stream: &s.stream, begin: w.begin, handle: w.handle}).run(ctx)
		cancel()
	})
	err := w.pass(ctx, fn)
	cancel()
	feeding.Wait()
	if err == nil {
		err = failure
	}
	return err
}

// A watcher is one call of Watch. One goroutine takes what the server sends, so
// that nothing is too old to be kept when its turn comes; the caller's passes
// it on.
type watcher struct {
	store  *Store
	prefix string
	news   chan struct{} // something is pending, or live

	// The feed's.
	known map[string]uint64 // revisions of the records that are there
	stale map[string]uint64 // those of which the stream has not told since it was read anew
	last  uint64            // revision that was told of
	doubt doubt

	mu      sync.Mutex
	pending map[string]backplane.Record
	live    bool
}

// pass calls fn with what is pending, until fn fails, which is returned, or the
// context is done.
func (w *watcher) pass(ctx context.Context, fn func(batch []backplane.Record, live bool) error) error {
	for first := true; ; {
		select {
		case <-w.news:
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

// begin has the whole stream read anew: it has no more than one message for
// each record, and what has gone meanwhile is what is not in it.
func (w *watcher) begin(ctx context.Context) (span, error) {
	info, err := w.store.ensure(ctx)
	if err != nil {
		return span{}, err
	}
	if w.doubt.holds(info, w.last) {
		return span{}, errAgain
	}
	s := span{next: 1, last: info.State.LastSeq}
	if info.State.Messages > 0 {
		m, err := w.store.message(ctx, 0, w.store.config.Subjects[0])
		if err != nil {
			return span{}, err
		}
		s.end = m.Seq
	}
	w.stale = maps.Clone(w.known)
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
		before, told := w.known[key]
		switch {
		case told && before == r.Rev, !told && r.Value == nil:
			continue // nothing new
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
			w.pending[key] = backplane.Record{Key: key, Rev: max(rev, w.last)}
		}
		w.stale = nil
		w.live = true
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
	return nil
}
