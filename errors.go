package sse

import (
	"errors"

	"example.org/sse/internal/stream"
)

// Why a stream ended, or never began. [EventSource.Err], [EventSource.Wait], the
// dispatching methods, and the functions that read streams return one of these, or
// an error that wraps one; compare with [errors.Is].
var (
	// ErrClosed: the program closed the source, by [EventSource.Close] or
	// [Set.CloseAll], in whichever process, or the [Hub]. A nil source answers with it too.
	ErrClosed = stream.ErrClosed

	// ErrGone: the client went away, or the handler returned without Close or
	// Wait. net/http reports both in the same way.
	ErrGone = stream.ErrGone

	// ErrSlow: the client did not take what it was sent, either within the
	// write timeout or before its backlog was full.
	ErrSlow = stream.ErrSlow

	// ErrShutdown: the server is shutting down. Its clients have been asked to
	// reconnect a little later.
	ErrShutdown = stream.ErrShutdown

	// ErrExpired: the time of AcceptOptions.Expires has come.
	ErrExpired = stream.ErrExpired

	// ErrMaxAge: the stream has reached AcceptOptions.MaxAge. Its client has been
	// asked to reconnect.
	ErrMaxAge = stream.ErrMaxAge

	// ErrLimited: a [Limit] refused the stream, or ended it in favor of a newer one.
	ErrLimited = stream.ErrLimited

	// ErrNotAccepted: [Accept] answered the request without a stream, because
	// of its method or its origin, or because the ResponseWriter cannot flush. The
	// error that it wraps says which.
	ErrNotAccepted = errors.New("sse: request not accepted")

	// ErrInvalidEvent: an [Event] cannot be sent as it is. The message names the
	// field. Nothing was sent, and the stream is as it was.
	ErrInvalidEvent = errors.New("sse: invalid event")

	// ErrTooLarge: an event that is read, or a line of one, is larger than
	// MaxEvent; see [Decoder.Decode] and [Client.Events]. It has not been read to
	// its end. Or an event that is dispatched is larger than a shared log takes;
	// see [Set.DispatchOnce]. No client got it.
	ErrTooLarge = errors.New("sse: event too large")
)
