// Package sse sends and reads server-sent events: one-way streams from an HTTP
// server to browsers and other clients, as the HTML standard defines them
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
// # Usage
//
// A [Set] is a group of streams that get the same events. It is an [http.Handler]
// that adds each visitor to the group:
//
//	var group sse.Set
//	http.Handle("GET /events", &group)
//	...
//	group.Dispatch("message", "hello")
//
// An [EventSource] is a stream to a single client. There are two ways to get one.
// [Accept] is for a handler that writes to the stream itself:
//
//	func answer(w http.ResponseWriter, r *http.Request) {
//		source, err := sse.Accept(w, r, nil)
//		if err != nil {
//			return // the request has been answered
//		}
//		defer source.Close()
//		for token := range tokens(source.Context()) {
//			if source.Dispatch("token", token) != nil {
//				return // the client left
//			}
//		}
//	}
//
// [Serve] is for streams that others write to, such as sets and hubs:
//
//	sse.Serve(w, r, nil, func(source *sse.EventSource) {
//		group.Add(source)
//	})
//
// A [Map] is a set that keeps a value beside each source, and can send each its
// own view. With [Set.AddFunc] a member sees each event of a set through a function,
// and can resume. A [Hub] is any number of sets by name. [JSON], [HTML] and
// [Component] turn values, templates and components into an event's data.
//
// # Delivery and ordering
//
// One dispatch is one event at each client, whatever its data holds: no text
// can break it in two or add another field. An event that cannot be sent is an
// error, and then nothing was sent.
//
// All members of a set get its events in the same order, each once. Events that one
// goroutine dispatches to a source, directly and through any number of sets,
// arrive in the order of its calls. Nothing is promised about the order of events
// that different goroutines dispatch at the same time, except that it is the same
// for all members of a set, and for all sources that are members of the same sets
// of a [Hub].
//
// [Set.Dispatch] appends the event to the set's log and returns. Each member
// reads the log at its own pace: it is sent all that it lacks in one write, so
// an idle server sends each event at once, and a busy one writes less often, not
// more. A nil error therefore means that an event was taken, not that it arrived:
// no server can know that.
//
// # History and resuming
//
// A set keeps its newest events for a while (see [Set]) and gives each an id. A
// client that has lost its connection reconnects with the last id that it has seen,
// in the Last-Event-ID header or, where a script cannot set one, the query
// parameter lastEventId. It first gets what it missed: all of it, or none. If the
// set no longer has everything, or the id is of another process or made up, the
// client begins like a new one, with the events that the set's Snapshot returns. With
// [Set.Replay] a new client gets all that is kept: a text that is still being written,
// for example, from its beginning.
//
// # Several processes
//
// A [Hub] with a Log is one with the hubs of other processes on the same log: an
// event that is dispatched in one process goes to the log, and from there to the
// members in all. Each process keeps the log's newest events in memory, so that a
// client can resume in any process, even while the log cannot be reached.
// [Set.DispatchOnce] takes a context, and reports whether an event was taken, was
// not, or may have been. Everything else is as in one process: one order, each
// event once, and if events are lost, a snapshot and never a silent gap. A client
// that is new, or has missed something, is sent the id to resume from: with the last
// event of its snapshot or, if there is none, with an event of the type
// "last-event-id".
//
// Packages natslog, redislog and pglog, in modules of their own, have logs on NATS
// JetStream, on Redis Streams and in PostgreSQL, where an event can be part of a
// transaction (see [Set.DispatchIn]); package [example.org/sse/logtest] tests others.
// Packages [example.org/sse/presence] and [example.org/sse/locks] can be shared by
// a [backplane.Store].
//
// # Slow clients
//
// No client can make another one wait. What waits for a slow client is counted,
// as references to the set's events and not as copies; beyond the client's
// backlog (see [AcceptOptions]) the set's [SlowPolicy] decides: end the stream,
// skip, or keep the latest of each key. A client that takes nothing at all is
// disconnected after the write timeout. [EventSource.Dispatch], to a single
// client, waits for it instead, as a producer would want.
//
// A program can dispatch faster than the machine writes. A dispatch to a set may be
// 64 KiB ahead of the goroutine that writes to the members; beyond that it waits.
// It also waits while a member's handler is ready to write and has not got a
// processor, and, where goroutines have to wait long for one, while more than a few
// members are late though they read. It waits for 20 ms at most. Where there are processors, no
// client holds up a dispatch.
//
// # Compression
//
// [AcceptOptions.Compress] compresses streams for clients that accept it. Elsewhere a
// compressed stream has a compressor of its own, of a megabyte, which compresses each
// event again. Here an event of a set is compressed once, in the context of the set's
// events before it, and the result is sent to every member whose decoder has seen that
// context: mostly all. The others are sent the same event as it is compressed alone, once
// as well, until they have caught up. A compressed stream can be detached. It costs 60
// bytes more, and a set with compressed members 0.8 MiB, for 64 sets at a time; events of
// further sets are compressed alone.
//
// This saves most where events resemble those before: of HTML that is sent again with
// small changes nine tenths and more. An event to one source is not compressed, and makes
// the next 32 KiB of a set's events larger for that stream, as do the events of a second
// set. Keep-alives do not: the members of a quiet set share them. Module
// example.org/sse/zstd has a coding with a larger window, for pages of more than 32 KiB.
//
// # The end of a stream
//
// Every stream's end has a reason, [EventSource.Err]; [EventSource.Done] is closed
// when it ends. A source that ends has left all of its sets and maps. A client that
// closes its connection is noticed at once, and otherwise by a keep-alive comment. A
// client whose network was cut silently is noticed when the kernel gives up on it:
// with a [Listener] that is the write timeout after the comment; without, it is a
// quarter of an hour.
//
// A handler that calls Accept must not return before it has called
// [EventSource.Close] or [EventSource.Wait]. Close belongs in a defer statement.
//
// A browser reconnects whenever a stream ends. One that shall not is sent a last event, of
// a type of your own, such as "logout", at which the page closes its stream:
//
//   - the browser alone: source.addEventListener("logout", () => source.close())
//   - htmx 2: <div hx-ext="sse" sse-connect="/events" sse-close="logout">
//   - htmx 4: <div hx-sse:connect="/events" hx-sse:close="logout">
//
// That is the event of [Set.CloseAllWith], the ExpiredEvent of [AcceptOptions], the Event
// of a [Limit], or one that is dispatched just before [EventSource.Close]. The order is
// certain: what is dispatched before a stream is closed, is sent before it ends.
//
// # Streams that belong to a login
//
// [AcceptOptions] can limit the streams of a user and in all, end a stream when its session
// does, and refuse requests of other sites. [Set.CloseAll] ends the streams of a user in
// all processes, and package [example.org/sse/tickets] admits clients that cannot send a
// header. The guide docs/login.md has a program with all of it.
//
// # Detached streams
//
// A handler that waits costs some 27 KiB for each stream: two goroutines, the
// server's buffers, the request. [Serve] detaches the stream from its handler where
// it can: it takes the connection over once the head of the response is sent, and
// the handler returns. What is left is less than 1 KiB.
//
// A detached stream is written to without waiting, by the goroutine that has
// something to write: the one that walks over a set's members, the caller of
// Dispatch, or, when a slow client can take more, one of a few goroutines that
// look after all streams. They also handle keep-alives, timeouts, and clients that
// leave; what a client sends is thrown away. All that this page says is true of
// detached streams as of others.
//
// Detaching changes what net/http and middleware can promise: the handler returns
// while its response goes on, and the request's context ends. So it is enabled by
// whoever runs the server, with [ListenAndServe], [ServeListener] or [Listener], and never
// otherwise.
// It works on Linux, over HTTP/1.1 without TLS, for example behind a proxy that
// terminates TLS. Elsewhere Serve waits; [ReadStats] counts both kinds, and the
// reasons. The response of a stream that may be detached says "Connection: close".
//
// # Numbers
//
// [ReadStats] returns the numbers of the process: streams and why they ended, what was
// dispatched and what has become of it, what waits, what compression saves, and the state
// of hubs' logs. Package sseprom, a module of its own, exports them to Prometheus. [Set]
// calls Joined and Left for each member, so that a program can count its own.
//
// # Shutdown
//
// [http.Server.Shutdown] ends all streams of its server, with no wiring: each is
// sent what was dispatched before, a reconnection time that differs from client to
// client, and a clean end. A client that takes nothing holds this up for 5 seconds
// at most. Shutdown waits for streams whose handlers wait, as for all handlers, and
// for detached ones, since a [Listener] makes it wait. A handler that waits for
// something other than its stream delays a shutdown, unless it stops when the stream
// ends; see [Accept]. [ListenAndServe] and [ServeListener] call Shutdown on SIGTERM and
// interrupt, for programs that do not handle signals.
//
// htmx 4 takes a reconnection time only from a block with data or event: the Retry of
// [AcceptOptions], with the first event, but not a shutdown's. It reconnects after that
// Retry, or 0.5 s without one, give or take 30 %.
//
// # Proxies
//
// The response's headers ask nginx, and any proxy that compresses or caches, to
// pass events on at once, and the keep-alive of 30 seconds is below the idle
// limits of the usual proxies. HAProxy delays each event by 0.2 s, unless it has
// option http-no-delay. HTTP/1.1 allows a browser six connections to a host over
// all tabs, and a stream takes one: serve HTTP/2 where you can.
//
// Middleware must not wrap the ResponseWriter in a type without Flush and
// Unwrap. Middleware that compresses must flush when it is asked to.
//
// # Coming from JavaScript
//
// Names and values are those of the browser's EventSource where the same thing
// is meant: [EventSource.ReadyState], [EventSource.URL], [EventSource.Close],
// an event's [Event.Type] and [Event.Data]. Where a JavaScript library returns a
// response, a handler here calls [Serve]. A set's add, delete, has, size, clear and
// closeAll are [Set.Add], [Set.Delete], [Set.Has], [Set.Len], [Set.Clear] and
// [Set.CloseAll].
//
// # Reading streams
//
// A [Client] is the other end: it requests a stream, yields its events, and
// reconnects with the id of the last one whenever the stream ends. [Client.Events]
// says after which failures it does not. [Events] yields the events of a single
// stream, such as a language model's response; a [Decoder] gives finer control.
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
// Package [example.org/sse/ssetest] provides utilities for testing event streams: a
// server that can be closed while streams are open, in memory too, where time can
// be fake; streams that record events; and clients that stall, leave and reconnect.
//
// A stream works with [net/http/httptest] as well: a ResponseRecorder records it
// until it is closed, and a Server serves it. Since httptest.Server.Close waits
// for open requests, end the streams first: with [Set.CloseAll], or with Shutdown of
// server.Config.
package sse
