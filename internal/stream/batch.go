package stream

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"example.org/sse/internal/eventlog"
)

// A batch is what one flush writes.
type batch struct {
	items []eventlog.Item
	buf   []byte
}

// batchPiece is how much is written at a time, and how much a client must take
// within the write timeout. Small events are put together, which costs a copy and
// not a write each; large ones are not copied, but cut, so that it shows whether
// the client gets on.
const batchPiece = 32 << 10

var batches = sync.Pool{New: func() any { return new(batch) }}

// writeTo writes the batch and flushes it. A ResponseWriter that panics, since its
// handler has returned or by a fault of its own, ends the stream and nothing else.
func (b *batch) writeTo(a *attached) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("sse: ResponseWriter panicked; did the handler return without Close or Wait?", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("ResponseWriter panicked: %v", p)
		}
	}()
	for _, it := range b.items {
		block := it.Chunk.Block()
		if len(b.buf)+len(block) > batchPiece && len(b.buf) > 0 {
			if err := a.writePiece(b.buf, true); err != nil {
				return err
			}
			b.buf = b.buf[:0]
		}
		if len(block) <= batchPiece && len(b.items) > 1 {
			b.buf = append(b.buf, block...)
			continue
		}
		for piece := range slices.Chunk(block, batchPiece) {
			if err := a.writePiece(piece, len(piece) == batchPiece); err != nil {
				return err
			}
		}
	}
	if len(b.buf) > 0 {
		if err := a.writePiece(b.buf, false); err != nil {
			return err
		}
	}
	return a.control.Flush()
}

// writePiece writes a piece of the batch, which is not the last one if there is more.
func (a *attached) writePiece(piece []byte, more bool) error {
	_, err := a.w.Write(piece)
	if err == nil && more {
		a.progress()
	}
	return err
}

// progress notes that the client has taken a piece of the write in progress, which
// gives it time for the next one.
func (a *attached) progress() {
	s := a.stream
	s.moved.Store(int64(time.Since(s.opened)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.armed && !(s.reason != nil && !graceful(s.reason)) {
		a.hurryLocked()
	}
}

func (b *batch) release() {
	clear(b.items)
	b.items, b.buf = b.items[:0], b.buf[:0]
	if cap(b.items) <= 1024 {
		batches.Put(b)
	}
}
