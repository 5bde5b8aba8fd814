// Package sse sends server-sent events, and reads them: one-way streams from an
// HTTP server to browsers and other clients, as the HTML standard defines them
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
// # Usage
//
// A [Set] is a group of streams that get the same events, and an
// [http.Handler] that adds each visitor to the group:
//
//	var group sse.Set
//	http.Handle("GET /events", &group)
//	...
//	group.Dispatch("message", "hello")
//
// A stream of one's own is an [EventSource]. [Accept] answers a request with
// one, and the handler dispatches to it:
//
//	func answer(w http.ResponseWriter, r *http.Request) {
//		source, err := sse.Accept(w, r, nil)
//		if err != nil {
//			return // the request has been answered
//		}
//		defer source.Close()
//		for token := range tokens(r.Context()) {
//			if source.Dispatch("token", token) != nil {
//				return // the client left
//			}
//		}
//	}
//
// A handler that has nothing more to do itself ends with [EventSource.Detach]:
//
//	group.Add(source)
//	source.Detach()
//
// A [Map] is a set that keeps a value beside each source, and can send each its
// own view. A [Hub] is any number of sets by name. [JSON], [HTML] and
// [Component] turn values, templates and components into an event's data.
//
// # Delivery and ordering
//
// One dispatch is one event at each client, whatever its data holds: no text
// can break it in two or smuggle in another field. What cannot be sent is an
// error, and then nothing was sent.
//
// All members of a set get its events in the same order, each once. What one
// goroutine dispatches to a source, directly and through any number of sets,
// arrives in the order of its calls. Nothing is promised about the order of
// what different goroutines dispatch at the same time, other than that it is
// the same for all members of a set, and for all sources that are members of
// the same sets of a [Hub].
//
// [Set.Dispatch] appends the event to the set's log and returns. Each member
// reads the log at its own pace: it is sent all that it lacks in one write, so
// that an idle server sends each event at once, and a busy one writes less
// often, not more. A nil error therefore means that an event was taken, not
// that it arrived: no server can know that.
//
// # History and resuming
//
// A set keeps its newest events for a while (see [Set]) and gives each an id. A
// client that lost its connection comes back with the last id that it has seen,
// in the Last-Event-ID header or, where a script cannot set one, the query
// parameter lastEventId, and first gets what it missed: all of it, or none. If
// the set no longer has everything, or the id is of another process or made
// up, the client begins like a new one, with what the set's Snapshot function
// sends it.
//
// In a [Hub], where one set is quiet and others are not, a client of the quiet one
// is sent an event of the type "last-event-id" now and then, whose data is empty:
// it brings a newer id, before the client's own is too old to resume from.
//
// # Several processes
//
// A [Hub] with a Log is one with the hubs of other processes on the same log:
// what is dispatched in one goes to the log, and from there to the members in
// all. Each process keeps the log's newest events in memory, so that a client
// resumes in whichever it comes back to, even while the log cannot be reached.
// [Set.DispatchOnce] takes a context, and tells whether an event was taken, was
// not, or may have been. Everything else is as in one process: the order of all,
// each event once, and if events are lost, a snapshot and never a silent gap. A
// client that is new, or has missed something, is first sent the id to resume
// from, on an event of the type "last-event-id".
//
// Packages natslog and redislog, in modules of their own, have logs on NATS
// JetStream and Redis Streams; package [example.org/sse/logtest] tests others.
// Packages [example.org/sse/presence] and [example.org/sse/locks] can be shared by
// a [backplane.Store].
//
// # Slow clients
//
// No client can make another one wait. What waits for a slow one is counted,
// as references to the set's events and not as copies; beyond the client's
// backlog (see [AcceptOptions]) the set's [SlowPolicy] decides: end the stream,
// skip, or keep the latest of each key. A client that takes nothing at all is
// disconnected after the write timeout. [EventSource.Dispatch], to a single
// client, waits for it instead, as a producer would want.
//
// A program that dispatches faster than the machine can write is slowed down:
// a dispatch to a set then waits for the processor, for 20 ms at most.
//
// # The end of a stream
//
// Every stream's end has a reason, [EventSource.Err]; [EventSource.Done] tells
// when. A source that ends is gone from all of its sets and maps at once. That
// a client left is noticed at once if it says so, and by a keep-alive comment
// otherwise. One whose network was cut silently is noticed when the kernel gives
// up on it: for a detached stream that is its write timeout after the comment,
// and for another one too if the server has a [ConnContext]; without, it is a
// quarter of an hour.
//
// A handler must not return before it has called Close, Wait or Detach.
// [EventSource.Close] belongs in a defer statement, whatever comes after.
//
// # Detached streams
//
// A handler that waits costs some 27 KiB for each stream: two goroutines, the
// server's buffers, the request. [EventSource.Detach], which [Set.ServeHTTP] ends
// with, takes the connection over once the head of the response is sent, and the
// handler returns. What is left is less than 1 KiB.
//
// A detached stream is written to without waiting, by whoever has something to
// write: the goroutine that walks over a set's members, the caller of Dispatch,
// or, when a client that was slow can take more, one of a few goroutines that
// look after all streams. They also see to keep-alives, to timeouts, and to
// clients that leave; what a client sends is thrown away. All that this page says
// is true of detached streams as of others.
//
// It is done on Linux, for HTTP/1.1 without TLS: behind a proxy that ends TLS,
// say. Where it cannot be done Detach waits, as [EventSource.Wait] does; so a
// program is the same everywhere. [ReadStats] counts both kinds, and the reasons.
// From Detach on the request's context is no longer the stream's: middleware
// that cancels it, or logs when a request is over, sees the handler return.
//
// # Shutdown
//
// [http.Server.Shutdown] ends all streams of its server, with no wiring: each is
// sent what was dispatched before, is told to come back after a time that
// differs from client to client, and ends cleanly. A client that takes nothing
// holds this up for 5 seconds at most.
//
// The server itself does not know detached streams: its Shutdown ends them but
// does not wait for that, and its Close leaves them open. [Shutdown] waits for
// all. [ListenAndServe] calls that on SIGTERM and interrupt, for programs that
// have no other way.
//
// # Proxies
//
// The response's headers tell nginx, and any proxy that compresses or caches,
// to pass events on at once, and the keep-alive of 30 seconds is below the idle
// limits of the usual proxies. HAProxy passes each event on 0.2 s late, unless it
// has option http-no-delay. HTTP/1.1 allows a browser six connections to a host
// over all tabs, and a stream takes one: serve HTTP/2 where you can.
//
// Middleware must not wrap the ResponseWriter in a type without Flush and
// Unwrap. One that compresses must flush when it is told to.
//
// # Coming from JavaScript
//
// Names and values are those of the browser's EventSource where the same thing
// is meant: [EventSource.ReadyState], [EventSource.URL], [EventSource.Close],
// an event's [Event.Type] and [Event.Data]. Where a library of the other end's
// language returns a response, a handler here waits: return source.response()
// becomes source.Detach(). A set's add, delete, has, size, clear and closeAll
// are [Set.Add], [Set.Delete], [Set.Has], [Set.Len], [Set.Clear] and
// [Set.CloseAll].
//
// # Reading streams
//
// A [Client] is the other end: it asks for a stream, yields its events, and
// comes back with the id of the last one whenever the stream ends. [Events]
// yields the events of a stream that is there, such as the body of a response,
// which is what the answer of a language model is; a [Decoder] tells more of
// them.
//
//	client := sse.Client{URL: "https://example.org/events"}
//	for event, err := range client.Events(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Type, event.Data)
//	}
//
// # Testing
//
// Package [example.org/sse/ssetest] has what programs test their streams with: a
// server that can be closed while streams are open, in memory too, where time
// can be fake; streams that record what comes; and clients that stall, leave and
// come back.
//
// A stream works with [net/http/httptest] as well: a ResponseRecorder records it
// until it is closed, and a Server serves it. Since httptest.Server.Close waits
// for open requests, end the streams first: with [Set.CloseAll], or with
// [Shutdown] of server.Config.
package sse
