package sse

import "errors"

// Why a stream ended, or never began. [EventSource.Err], [EventSource.Wait], the
// dispatching methods, and what reads streams return one of these, or an error
// that wraps one; compare with [errors.Is].
var (
	// ErrClosed: the program closed the source, by [EventSource.Close] or
	// [Set.CloseAll]. A nil source answers with it too.
	ErrClosed = errors.New("sse: event source closed")

	// ErrGone: the client went away, or the handler returned without Close,
	// Wait or Detach. net/http reports both in the same way.
	ErrGone = errors.New("sse: client gone")

	// ErrSlow: the client did not take what it was sent, either within the
	// write timeout or before its backlog was full.
	ErrSlow = errors.New("sse: client too slow")

	// ErrShutdown: the server is shutting down. Its clients have been told to
	// come back a little later.
	ErrShutdown = errors.New("sse: server shutting down")

	// ErrNotAccepted: [Accept] answered the request without a stream, because
	// of its method or because the ResponseWriter cannot flush. What it wraps
	// says which.
	ErrNotAccepted = errors.New("sse: request not accepted")

	// ErrInvalidEvent: an [Event] that cannot be sent as it is. The message
	// names the field. Nothing was sent, and the stream is as it was.
	ErrInvalidEvent = errors.New("sse: invalid event")

	// ErrTooLarge: an event that is read, or a line of one, is larger than
	// MaxEvent; see [Decoder.Decode] and [Client.Events]. It has not been read to
	// its end. Or one that is dispatched is larger than a shared log takes; see
	// [Set.DispatchOnce]. Nobody got it.
	ErrTooLarge = errors.New("sse: event too large")
)
