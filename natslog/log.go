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

	// An id is recognized for two minutes from the first call with it. The last
	// call within them may go on for longest.
	idWindow = 2 * time.Minute
	longest  = time.Minute
)

// Options are the settings that a log is made with. One that is there already
// is left as it is: change it with the nats command.
type Options struct {
	// History and HistoryBytes bound the entries that are kept, by count, 0:
	// 10,000; and by size, 0: 64 MiB. A negative value is no bound. The server
	// reserves the space.
	History      int
	HistoryBytes int

	// Replicas is how many servers keep each entry, of which a minority may die
	// without a loss; 0: three in a cluster, else one.
	Replicas int

	// Memory has the servers keep the entries in memory instead of on disk. With
	// one replica they are gone when its server stops.
	Memory bool

	// Domain is the JetStream domain; "": that of the server.
	Domain string
}

// A Log is a [backplane.Log] on a stream of JetStream's. Its methods may be
// called from any goroutine. There is nothing to close: what Follow uses on the
// server it gives back.
type Log struct {
	stream

	subject string
}

var _ backplane.Log = (*Log)(nil)

// Open returns the log of that name, and makes it if there is none; o may be
// nil. It tries until the context is done: give it a deadline, should the
// program rather fail than wait for a server. The error then says what the last
// attempt failed with. A stream that is there but has not the settings that the
// guarantees rest on is an error, too.
//
// The connection remains the caller's: it must outlive the log, and should be
// made with [ConnOptions]. Once it is closed, everything fails with
// [backplane.ErrClosed].
func Open(ctx context.Context, nc *nats.Conn, name string, o *Options) (*Log, error) {
	if o == nil {
		o = &Options{}
	}
	token, err := token(name)
	if err != nil {
		return nil, err
	}
	l := &Log{subject: "sse.log." + token}
	l.stream = stream{newConn(nc, o.Domain), streamConfig{
		Name:          "SSE" + token,
		Subjects:      []string{l.subject},
		Retention:     "limits",
		Discard:       "old",
		Storage:       storage(o.Memory),
		Replicas:      o.Replicas,
		MaxMessages:   orDefault(o.History, defaultHistory),
		MaxBytes:      orDefault(o.HistoryBytes, defaultHistoryBytes),
		MaxPerSubject: -1,                 // a message less in the middle would be a hole,
		DenyDelete:    true,               // so would this be,
		DenyPurge:     true,               // and this
		Duplicates:    idWindow + longest, // the server counts from when it has stored the first
	}}
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

// Append is [backplane.Log].Append. It waits for the server, which has stored
// the entry on a majority of the replicas when it answers: 0.1 to 0.4 ms as a
// rule, 4 to 9 s if the leader has just died. It tries for a minute at most,
// if the context does not end before, and then returns [backplane.ErrIndeterminate].
func (l *Log) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if err := backplane.CheckEntry(id, data); err != nil {
		return backplane.Cursor{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
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

// Follow is [backplane.Log].Follow. After its server has died it goes on within
// some seconds, and never by leaving something out.
func (l *Log) Follow(ctx context.Context, after backplane.Cursor, fn func(batch []backplane.Entry, live bool) error) error {
	f := &follower{log: l, after: after, fn: fn}
	return (&feed{stream: &l.stream, begin: f.begin, handle: f.handle}).run(ctx)
}

// A follower is one call of Follow.
type follower struct {
	log     *Log
	after   backplane.Cursor // where to begin
	pos     backplane.Cursor // of the newest entry that fn has got, or where it began
	placed  bool             // there is a pos,
	proven  bool             // with a nonce
	told    bool             // fn was called
	skipped bool             // the consumer has left out what follows pos
	live    bool             // fn was told so
	created time.Time        // the stream
	doubt   doubt
	batch   []backplane.Entry
	fn      func(batch []backplane.Entry, live bool) error
}

// begin proves that the stream still goes on from pos: that it has that very
// entry, and not another with its number. The stream may have been trimmed,
// emptied, made again, or have lost its end in a crash, and other entries may
// be there by now.
func (f *follower) begin(ctx context.Context) (span, error) {
	info, err := f.log.ensure(ctx)
	if err != nil {
		return span{}, err
	}
	state := info.State
	switch {
	case !f.placed, !f.told && f.after == backplane.Oldest:
		if err := f.place(ctx, info); err != nil {
			return span{}, err
		}
	case !info.Created.Equal(f.created):
		return span{}, f.gap("the stream was made again")
	case f.doubt.holds(info, f.pos.Seq):
		return span{}, errAgain
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
			return span{}, f.gap("the stream has a hole after it")
		}
	}
	return span{next, state.LastSeq, state.LastSeq}, nil
}

// place finds out where to begin.
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

// prove compares the entry at pos with the stream's.
func (f *follower) prove(ctx context.Context, state streamState) error {
	if f.pos.Seq < state.FirstSeq || f.pos.Seq > state.LastSeq || f.pos.Seq > math.MaxInt64 {
		return f.gap("the stream has %d to %d", state.FirstSeq, state.LastSeq)
	}
	m, err := f.log.message(ctx, f.pos.Seq, "")
	switch {
	case err != nil:
		return err
	case m.Seq != f.pos.Seq:
		return f.gap("it is not there any more")
	case cursorOf(m.Seq, headerID(m.Header)) != f.pos:
		return f.gap("it is another one by now")
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
		case m.seq <= pos.Seq: // from a server that lags behind
			continue
		case m.seq != pos.Seq+1:
			f.skipped = true // is it so? The leader knows
			return errAgain
		}
		pos = cursorOf(m.seq, m.Header.Get(nats.MsgIdHdr))
		f.batch = append(f.batch, backplane.Entry{Cursor: pos, Data: m.Data})
	}
	if len(f.batch) == 0 && (!live || f.live) {
		return nil
	}
	f.told, f.live = true, f.live || live
	if err := f.fn(f.batch, live); err != nil {
		return finalError{err}
	}
	if len(f.batch) > 0 {
		f.pos, f.proven, f.skipped = pos, true, false
	}
	clear(f.batch)
	return nil
}

// cursorOf is [backplane.CursorOf] for an id as it stands in a header.
func cursorOf(seq uint64, header string) backplane.Cursor {
	id, ok := unescape(header)
	if !ok {
		id = header // not one of ours
	}
	return backplane.CursorOf(seq, id)
}

// headerID returns the id of a stored message's header.
func headerID(header []byte) string { return parseHeader(header).Get(nats.MsgIdHdr) }

// parseHeader returns a stored message's header, whose names are as they were
// written.
func parseHeader(header []byte) nats.Header {
	h := make(nats.Header)
	for line := range strings.Lines(string(header)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h[name] = append(h[name], strings.TrimSpace(value))
		}
	}
	return h
}
