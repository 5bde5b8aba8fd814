package natslog

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
)

const (
	defaultHistory      = 10_000
	defaultHistoryBytes = 64 << 20

	// An id is recognized for two minutes from the first call with it. The last call
	// within that time may take up to callTimeout.
	idWindow    = 2 * time.Minute
	callTimeout = time.Minute
)

// Options are the settings with which a log is created. An existing log keeps its
// settings: change them with the nats command.
type Options struct {
	// History and HistoryBytes limit the entries that are kept: by number, 0: 10,000; and
	// by size, 0: 64 MiB. A negative value means no limit. The server reserves the space.
	History      int
	HistoryBytes int

	// Replicas is the number of servers that keep each entry, of which a minority may die
	// without a loss; 0: three in a cluster, otherwise one.
	Replicas int

	// Memory makes the servers keep the entries in memory instead of on disk. With one
	// replica they are lost when its server stops.
	Memory bool

	// Domain is the JetStream domain; "": the server's.
	Domain string
}

// A Log is a [backplane.Log] on a JetStream stream. Its methods may be called from any
// goroutine. There is nothing to close: Follow deletes its consumer when it returns.
type Log struct {
	stream

	subject string
}

var (
	_ backplane.Log     = (*Log)(nil)
	_ backplane.Monitor = (*Log)(nil)
)

// Open returns the log of the given name, and creates it if it does not exist; o may be
// nil. Open retries until the context ends: set a deadline if the program should fail
// rather than wait for a server. The error then contains the failure of the last attempt.
// Open also returns an error if the stream exists without the settings that the guarantees
// depend on.
//
// The connection remains the caller's: it must outlive the log, and should be made with
// [ConnOptions]. After it is closed, all methods fail with [backplane.ErrClosed].
func Open(ctx context.Context, nc *nats.Conn, name string, o *Options) (*Log, error) {
	if o == nil {
		o = &Options{}
	}
	token, err := streamToken(name)
	if err != nil {
		return nil, err
	}
	l := &Log{subject: "sse.log." + token}
	l.conn = newConn(nc, o.Domain)
	l.config = streamConfig{
		Name:          "SSE" + token,
		Subjects:      []string{l.subject},
		Retention:     "limits",
		Discard:       "old",
		Storage:       storage(o.Memory),
		Replicas:      o.Replicas,
		MaxMessages:   orDefault(o.History, defaultHistory),
		MaxBytes:      orDefault(o.HistoryBytes, defaultHistoryBytes),
		MaxPerSubject: -1,                     // a message removed in the middle would be a hole,
		DenyDelete:    true,                   // as would a deleted message
		DenyPurge:     true,                   // or a purged one
		Duplicates:    idWindow + callTimeout, // measured from when the server has stored the first one
	}
	return l, l.open(ctx)
}

func storage(memory bool) string {
	if memory {
		return "memory"
	}
	return "file"
}

func orDefault(value, def int) int64 {
	switch {
	case value == 0:
		return int64(def)
	case value < 0:
		return -1
	}
	return int64(value)
}

// Append implements [backplane.Log]. It waits until the server has stored the entry on a
// majority of the replicas: usually 0.1 to 0.4 ms, or 4 to 9 s if the leader has just died.
// It retries until the context ends, but for at most a minute, and then returns
// [backplane.ErrIndeterminate].
func (l *Log) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if err := backplane.CheckEntry(id, data); err != nil {
		return backplane.Cursor{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	seq, err := l.publish(ctx, &nats.Msg{
		Subject: l.subject,
		Header: nats.Header{
			nats.MsgIdHdr:          {escape(id)},
			nats.ExpectedStreamHdr: {l.config.Name},
		},
		Data: data,
	}, l.missing)
	if err != nil {
		return backplane.Cursor{}, fmt.Errorf("natslog: append to %s: %w", l.config.Name, err)
	}
	return backplane.CursorOf(seq, id), nil
}

// Follow implements [backplane.Log]. If its server dies it continues within some seconds,
// and never skips an entry.
func (l *Log) Follow(ctx context.Context, after backplane.Cursor, fn func(batch []backplane.Entry, live bool) error) error {
	f := &follower{log: l, after: after, fn: fn}
	return (&feed{stream: &l.stream, begin: f.begin, handle: f.handle}).run(ctx)
}

// Heard implements [backplane.Monitor].
func (l *Log) Heard() time.Time { return time.Unix(0, l.heard.Load()) }

// A follower is one call of Follow.
type follower struct {
	log     *Log
	after   backplane.Cursor // where to start
	pos     backplane.Cursor // of the newest entry passed to fn, or the start
	placed  bool             // pos is set
	proven  bool             // pos has a nonce
	called  bool             // fn was called
	skipped bool             // the consumer has skipped the entry after pos
	live    bool             // fn was called with live
	created time.Time        // when the stream was created
	doubt   doubt
	batch   []backplane.Entry
	fn      func(batch []backplane.Entry, live bool) error
}

// begin proves that the stream still continues from pos: that it has that entry, and not
// another one with the same number. The stream may have been trimmed, emptied, created
// again, or have lost its end in a crash, and may have other entries by now.
func (f *follower) begin(ctx context.Context) (span, error) {
	info, err := f.log.ensure(ctx)
	if err != nil {
		return span{}, err
	}
	state := info.State
	switch {
	case !f.placed, !f.called && f.after == backplane.Oldest:
		if err := f.place(ctx, info); err != nil {
			return span{}, err
		}
	case !info.Created.Equal(f.created):
		return span{}, f.gap("the stream was created again")
	case f.doubt.holds(info, f.pos.Seq):
		return span{}, errNewConsumer
	case f.proven:
		if err := f.prove(ctx, state); err != nil {
			return span{}, err
		}
	}
	next := f.pos.Seq + 1
	switch {
	case f.pos.Seq > state.LastSeq:
		return span{}, f.gap("the stream ends at %d", state.LastSeq)
	case next < state.FirstSeq:
		return span{}, f.gap("the stream begins at %d", state.FirstSeq)
	case f.skipped && next <= state.LastSeq:
		m, err := f.log.message(ctx, next, "")
		if err != nil {
			return span{}, err
		}
		if m.Seq != next {
			return span{}, f.gap("the next entry is missing")
		}
	}
	return span{next, state.LastSeq, state.LastSeq}, nil
}

// place sets pos to the start.
func (f *follower) place(ctx context.Context, info streamInfo) error {
	state := info.State
	switch f.pos = f.after; f.pos {
	case backplane.Oldest:
		if state.Messages > 0 {
			f.pos.Seq = state.FirstSeq - 1
		} else {
			f.pos.Seq = state.LastSeq
		}
	case backplane.Newest:
		var m storedMessage
		if state.LastSeq > 0 {
			var err error
			if m, err = f.log.message(ctx, state.LastSeq, ""); err != nil {
				return err
			}
		}
		f.pos = backplane.Cursor{Seq: state.LastSeq}
		if m.Seq != 0 {
			f.pos, f.proven = cursorOf(m.Seq, headerID(m.Header)), true
		}
	default:
		f.proven = true
		if err := f.prove(ctx, state); err != nil {
			return err
		}
	}
	f.placed, f.created = true, info.Created
	return nil
}

// prove checks that the stream has the entry at pos.
func (f *follower) prove(ctx context.Context, state streamState) error {
	if f.pos.Seq < state.FirstSeq || f.pos.Seq > state.LastSeq || f.pos.Seq > math.MaxInt64 {
		return f.gap("not in [%d, %d]", state.FirstSeq, state.LastSeq)
	}
	m, err := f.log.message(ctx, f.pos.Seq, "")
	switch {
	case err != nil:
		return err
	case m.Seq != f.pos.Seq:
		return f.gap("it no longer exists")
	case cursorOf(m.Seq, headerID(m.Header)) != f.pos:
		return f.gap("another entry has its number")
	}
	return nil
}

func (f *follower) gap(format string, args ...any) error {
	return finalError{fmt.Errorf("natslog: follow %s: %w: entry %d: %s", f.log.config.Name, backplane.ErrGap, f.pos.Seq, fmt.Sprintf(format, args...))}
}

func (f *follower) handle(messages []message, live bool) error {
	f.batch = f.batch[:0]
	pos := f.pos
	for _, m := range messages {
		switch {
		case m.seq <= pos.Seq: // from a server that lags
			continue
		case m.seq != pos.Seq+1:
			f.skipped = true // begin asks the leader whether an entry is missing
			return errNewConsumer
		}
		pos = cursorOf(m.seq, m.Header.Get(nats.MsgIdHdr))
		f.batch = append(f.batch, backplane.Entry{Cursor: pos, Data: m.Data})
	}
	if len(f.batch) == 0 && (!live || f.live) {
		return nil
	}
	f.called, f.live = true, f.live || live
	if err := f.fn(f.batch, live); err != nil {
		return finalError{err}
	}
	if len(f.batch) > 0 {
		f.pos, f.proven, f.skipped = pos, true, false
	}
	clear(f.batch)
	return nil
}

// cursorOf is like [backplane.CursorOf], for an id as it is encoded in a header.
func cursorOf(seq uint64, header string) backplane.Cursor {
	id, ok := unescape(header)
	if !ok {
		id = header // not encoded by this package
	}
	return backplane.CursorOf(seq, id)
}

// headerID returns the id in a stored message's header.
func headerID(header []byte) string { return parseHeader(header).Get(nats.MsgIdHdr) }

// parseHeader parses a stored message's header. Names keep their spelling.
func parseHeader(header []byte) nats.Header {
	h := make(nats.Header)
	for line := range strings.Lines(string(header)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h[name] = append(h[name], strings.TrimSpace(value))
		}
	}
	return h
}
