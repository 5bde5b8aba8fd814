package backplane

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

const (
	defaultHistory      = 10_000
	defaultHistoryBytes = 64 << 20

	batchSize = 512 // entries that Follow passes to one call of fn

	idWindow = 2 * time.Minute
	idLimit  = 100_000
)

// Memory is a [Log] and a [Store] in the memory of one process: for programs on one
// machine, and for tests in place of a broker. The zero value is empty and ready to use.
// Fields must not be changed after first use. Its methods may be called from any
// goroutine. There is nothing to close.
//
// A restart loses everything, but cursors of an earlier process are recognized as such,
// and revisions keep growing: they start from the time of first use, in microseconds
// since 1970, which a JavaScript number can hold.
//
// Memory remembers the ids given to Append for two minutes, but only the newest 100,000 of
// them. It never returns [ErrIndeterminate].
type Memory struct {
	// History and HistoryBytes limit the entries that the log keeps, and so how far
	// behind a follower may be: by number, 0: 10,000; by size of their data, 0: 64 MiB.
	// A negative value means no limit. The newest entry is always kept.
	History      int
	HistoryBytes int

	mu sync.Mutex

	// The log. Entries are kept from head on; the slice is moved down when half of it is
	// unused.
	entries  []Entry
	head     int
	last     uint64 // number of the newest entry
	bytes    int    // of the entries kept
	appended chan struct{}
	ids      map[idHash]uint64 // to the entries' numbers
	idQueue  []idTime          // oldest first, from idHead on
	idHead   int

	records records
}

// An idHash represents an id. It is long enough that no two ids have the same hash.
type idHash [16]byte

type idTime struct {
	id idHash
	at time.Time
}

// Append implements [Log]. It never blocks.
func (m *Memory) Append(ctx context.Context, id string, data []byte) (Cursor, error) {
	if err := CheckEntry(id, data); err != nil {
		return Cursor{}, err
	}
	if err := ctx.Err(); err != nil {
		return Cursor{}, err
	}
	sum := sha256.Sum256([]byte(id))
	c := Cursor{Nonce: binary.BigEndian.Uint32(sum[:])}
	hash := idHash(sum[:len(idHash{})])
	now := time.Now()

	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetIDsLocked(now)
	if seq, ok := m.ids[hash]; ok {
		c.Seq = seq
		return c, nil
	}
	m.last++
	c.Seq = m.last
	if m.ids == nil {
		m.ids = make(map[idHash]uint64)
	}
	m.ids[hash] = c.Seq
	m.idQueue = append(m.idQueue, idTime{hash, now})
	m.entries = append(m.entries, Entry{c, data})
	m.bytes += len(data)
	m.trimLocked()
	if m.appended != nil { // a follower waits
		close(m.appended)
		m.appended = nil
	}
	return c, nil
}

// forgetIDsLocked makes room for one more id.
func (m *Memory) forgetIDsLocked(now time.Time) {
	for m.idHead < len(m.idQueue) {
		oldest := &m.idQueue[m.idHead]
		if len(m.ids) < idLimit && now.Sub(oldest.at) <= idWindow {
			break
		}
		delete(m.ids, oldest.id)
		m.idHead++
	}
	m.idQueue, m.idHead = compact(m.idQueue, m.idHead)
}

// trimLocked drops entries beyond the history's limits.
func (m *Memory) trimLocked() {
	count, bytes := cmp.Or(m.History, defaultHistory), cmp.Or(m.HistoryBytes, defaultHistoryBytes)
	for kept := len(m.entries) - m.head; kept > 1; kept-- {
		if (count < 0 || kept <= count) && (bytes < 0 || m.bytes <= bytes) {
			break
		}
		m.bytes -= len(m.entries[m.head].Data)
		m.entries[m.head] = Entry{}
		m.head++
	}
	m.entries, m.head = compact(m.entries, m.head)
}

// compact moves a queue to the beginning of its memory once half of that is unused. So
// each element is moved once, on average.
func compact[T any](queue []T, head int) ([]T, int) {
	if head == 0 || head < len(queue)-head {
		return queue, head
	}
	n := copy(queue, queue[head:])
	clear(queue[n:])
	return queue[:n], 0
}

// Follow implements [Log].
func (m *Memory) Follow(ctx context.Context, after Cursor, fn func(batch []Entry, live bool) error) error {
	pos, err := m.locate(after)
	if err != nil {
		return err
	}
	var batch []Entry
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		var live bool
		var more <-chan struct{}
		if batch, live, more, err = m.read(batch[:0], pos); err != nil {
			return err
		}
		if len(batch) > 0 || first {
			if err := fn(batch, live); err != nil {
				return err
			}
			pos += uint64(len(batch))
			clear(batch) // the next one may be a long time away
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

// locate returns the number of the cursor's entry, if all entries after it are kept.
func (m *Memory) locate(c Cursor) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.last - uint64(len(m.entries)-m.head) // the number before the oldest entry kept
	switch {
	case c == Oldest:
		return before, nil
	case c == Newest:
		return m.last, nil
	case c.Seq <= before || c.Seq > m.last:
		return 0, fmt.Errorf("%w: entry %d not in [%d, %d]", ErrGap, c.Seq, before+1, m.last)
	case c != m.entries[m.head+int(c.Seq-before)-1].Cursor: //nolint:gosec // an index
		return 0, fmt.Errorf("%w: entry %d has another nonce", ErrGap, c.Seq)
	}
	return c.Seq, nil
}

// read returns the entries after number pos, as many as fit into a batch, and whether
// these are all. If there are none, more is closed when the next one is appended.
func (m *Memory) read(batch []Entry, pos uint64) (_ []Entry, live bool, more <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := uint64(len(m.entries) - m.head)
	behind := m.last - pos
	switch {
	case behind > kept:
		return nil, false, nil, fmt.Errorf("%w: the follower is %d entries behind, and %d are kept", ErrGap, behind, kept)
	case behind == 0:
		if m.appended == nil {
			m.appended = make(chan struct{})
		}
		return batch, true, m.appended, nil
	}
	n := min(behind, batchSize)
	start := len(m.entries) - int(behind) //nolint:gosec // an index
	return append(batch, m.entries[start:start+int(n)]...), n == behind, nil, nil
}
