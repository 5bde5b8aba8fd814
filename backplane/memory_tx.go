package backplane

import (
	"context"
	"errors"
)

// A MemoryTx is an [Outbox] of a [Memory], for tests of programs that use a database's: what
// is put into it is added by Commit. One that is not needed may be dropped. It must not be used
// by several goroutines at once.
type MemoryTx struct {
	memory *Memory
	puts   []memoryPut
	ended  bool
}

type memoryPut struct {
	id   string
	data []byte
}

// Begin returns a new transaction.
func (m *Memory) Begin() *MemoryTx { return &MemoryTx{memory: m} }

// Log implements [Outbox].
func (tx *MemoryTx) Log() Log { return tx.memory }

// Put implements [Outbox]. After Commit it returns an error.
func (tx *MemoryTx) Put(ctx context.Context, id string, data []byte) error {
	if err := CheckEntry(id, data); err != nil {
		return err
	}
	if tx.ended {
		return errors.New("backplane: the transaction has ended")
	}
	tx.puts = append(tx.puts, memoryPut{id, data})
	return ctx.Err()
}

// Commit adds the entries, in the order in which they were put.
func (tx *MemoryTx) Commit() {
	for _, p := range tx.puts {
		_, _ = tx.memory.Append(context.Background(), p.id, p.data) // Put has checked it
	}
	tx.puts, tx.ended = nil, true
}
