package sse

import (
	"math"
	"net/http"
	"time"

	"example.org/sse/internal/stream"
)

const (
	defaultKeepAlive    = 30 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultBacklog      = 1 << 20

	century    = 100 * 365 * 24 * time.Hour // what is longer is cut, so that no sum overflows
	maxBacklog = math.MaxInt64 / 8
)

// AcceptOptions are the options of [Accept] and [Serve]. Nil is the same as the
// zero value. They must not be changed while a stream that was accepted with them is
// open.
type AcceptOptions struct {
	// KeepAlive is how long a stream may be silent before it is sent a comment,
	// which no client shows, but which keeps proxies from closing the stream
	// and finds clients that are gone. 0: 30 s, negative: never.
	KeepAlive time.Duration

	// WriteTimeout is how long a client may take for the next 32 KiB of what it
	// is sent, or for the rest if that is less. A client that takes longer is
	// disconnected, with [ErrSlow]. It replaces the server's WriteTimeout, which
	// would end every stream. 0: 10 s, negative: no limit.
	WriteTimeout time.Duration

	// Backlog is how many bytes may wait for a client that is slower than the
	// events. Beyond it, [EventSource.Dispatch] waits for the client, and a
	// [Set] does what its Slow policy says; a set grants a client that still
	// reads, if slowly, eight times as much. The first event that waits does
	// not count, so that an event of any size can be sent, and neither does a
	// Snapshot. 0: 1 MiB, negative: no limit.
	Backlog int

	// Retry is sent to the client as its reconnection time, in milliseconds,
	// rounded up. 0: none is sent, and browsers reconnect after 3 to 5 s.
	Retry time.Duration

	// Compress lists the codings in which clients may get the stream, the preferred
	// one first: of those that a client accepts equally, the first is used. Nil: the
	// stream is not compressed.
	//
	// An event of a [Set] is compressed once for all members: a compressed stream
	// costs 60 bytes more, and no compressor. What is dispatched to one source, a
	// Snapshot too, is sent as it is. Limits such as Backlog and HistoryBytes count
	// uncompressed bytes; the events of a history are kept in both forms.
	// A response that has a Content-Encoding already is not compressed again.
	//
	// Who can see how many bytes are sent, as anyone on the path can even with TLS,
	// and can have text of their own sent in the same set, can guess a secret that
	// is sent in that set shortly before or after: each right character makes the
	// text shorter. Do not compress a set whose events have tokens, session ids or
	// other secrets beside text that others choose. Dispatch a secret to its source
	// alone: that is never compressed, and no compressed event refers to it. Events of
	// different sets never refer to each other.
	Compress []Coding

	// Limits bound how many streams are open at the same time. A stream must have room
	// in all of them.
	Limits []*Limit

	// Expires is when the stream ends with [ErrExpired], such as the end of the session
	// that it belongs to. The client is sent what was dispatched before, then
	// ExpiredEvent, and a reconnection time that differs from client to client. If the
	// time has passed already, Accept fails with ErrExpired, and the client is sent the
	// same. The zero Time: never.
	Expires time.Time

	// ExpiredEvent, if not the zero Event, is the last event of a stream that ends
	// because of Expires. The page should close its EventSource at it, which would
	// reconnect otherwise; see "The end of a stream" in the package comment. It should have
	// a Type; its Retry is not used.
	ExpiredEvent Event

	// MaxAge is how long a stream may be open; then it ends with [ErrMaxAge], at a random
	// time in the last quarter of MaxAge, and the client reconnects. It is for proxies that
	// cut old streams, and for streams to move to processes that were started later. The
	// client is sent what was dispatched before, and a reconnection time that differs
	// from client to client. MaxAge or Expires costs some 200 bytes a stream.
	// 0 or less: any time.
	MaxAge time.Duration

	// CrossOrigin, if not nil, refuses the requests that it would refuse if they were not
	// GET: those that a browser sends for a page of another origin, except the trusted
	// ones. They are answered with 403, or by its deny handler, which gets the request
	// with the method POST; Accept fails with [ErrNotAccepted]. Bypass patterns must
	// have no method. (A [http.CrossOriginProtection] around a handler lets GET pass, and so
	// every EventSource: a page of another site can then open streams with the cookies of
	// its visitors, although it cannot read them.) Nil: requests of all origins are accepted.
	CrossOrigin *http.CrossOriginProtection
}

// stream returns the options with their defaults.
func (o *AcceptOptions) stream() stream.Options {
	backlog := int64(o.Backlog)
	switch {
	case backlog == 0:
		backlog = defaultBacklog
	case backlog < 0 || backlog > maxBacklog:
		backlog = maxBacklog
	}
	return stream.Options{
		KeepAlive:    optional(o.KeepAlive, defaultKeepAlive),
		WriteTimeout: optional(o.WriteTimeout, defaultWriteTimeout),
		Backlog:      backlog,
		Retry:        optional(o.Retry, 0),
	}
}

// optional returns a duration whose zero value is the default, and 0 for a negative
// one.
func optional(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return min(max(d, 0), century)
}
