package sse

import (
	"slices"
	"sync"
	"time"
)

// A batch is what one flush writes.
type batch struct {
	items []item
	buf   []byte
}

// batchPiece is how much is written at a time. Small events are put together,
// which costs a copy and not a write each; large ones are not copied, but cut,
// so that it shows whether the client gets on.
const batchPiece = 32 << 10

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) writeTo(a *attached) error {
	for _, it := range b.items {
		block := it.chunk.block()
		if len(b.buf)+len(block) > batchPiece && len(b.buf) > 0 {
			if err := a.writePiece(b.buf); err != nil {
				return err
			}
			b.buf = b.buf[:0]
		}
		if len(block) <= batchPiece && len(b.items) > 1 {
			b.buf = append(b.buf, block...)
			continue
		}
		for piece := range slices.Chunk(block, batchPiece) {
			if err := a.writePiece(piece); err != nil {
				return err
			}
		}
	}
	if len(b.buf) > 0 {
		if err := a.writePiece(b.buf); err != nil {
			return err
		}
	}
	return a.control.Flush()
}

func (a *attached) writePiece(piece []byte) error {
	_, err := a.w.Write(piece)
	if len(piece) >= batchPiece { // there may be more
		a.source.moved.Store(time.Now().UnixNano())
	}
	return err
}

func (b *batch) release() {
	clear(b.items)
	b.items, b.buf = b.items[:0], b.buf[:0]
	if cap(b.items) <= 1024 {
		batches.Put(b)
	}
}
