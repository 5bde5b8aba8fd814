// Package browser has the JavaScript module eventsource.js, with which a page reads event
// streams. It exports a class with the interface of the browser's EventSource, which
// reconnects where that gives up:
//
//	http.Handle("GET /eventsource.js", browser.Handler())
//
//	<script type="module">
//	import { EventSource } from "/eventsource.js"
//
//	const source = new EventSource("/events")
//	source.onmessage = event => out.textContent = event.data
//	</script>
//
// The global EventSource stays as it is. With htmx 2 the script's tag suffices: the module
// sets htmx.createEventSource, which htmx-ext-sse uses. The module works under the policy
// script-src 'self', and in workers. Its types are in eventsource.d.ts, in this folder, to be
// copied.
//
// # Differences from the browser's
//
// A browser ends a stream for good after any status except 200, or a content type other than
// text/event-stream. The module tries again, with the id of the last event. It waits for the
// server's reconnection time, which is 3 s unless the server has sent another, for twice as long
// after each further failure, up to a minute, and up to half as long again at random, so that
// pages do not return all at once. It waits for at least as long as Retry-After says, up to an
// hour. A 204 closes the stream, as does close.
//
// It knows when a stream is dead, for example because a laptop has slept or has changed its
// network: the server sends a comment to a stream that was silent for
// [example.org/sse.AcceptOptions.KeepAlive], and a stream without one for a little more than
// twice that time is opened again. So is a request without a response for half of it. When the
// browser reports a network again, and when the page is shown again after some silence, that
// happens at once. The option heartbeat is the server's KeepAlive in milliseconds. It is 30000,
// the server's default; 0 means that the server sends no comments.
//
// It knows the ids of all events, also of those that the page does not listen for. An id is
// sent in the query parameter lastEventId, which [example.org/sse.EventSource.LastEventID]
// reads: a header would need a preflight from another origin, and cannot have every id.
//
// A page that is left closes its streams, even if the browser keeps it for the way back, and
// opens them when it is back. With the option openWhenHidden: false a hidden page does so, too,
// as with htmx 4. Over HTTP/1.1 that makes room: a browser opens six connections to a server,
// for all of its tabs.
//
// The option beforeRequest is a function that is called before each request, with its URL and
// its Headers, which it may change, for example by a token. The request waits for the promise
// that it returns. The method reconnect opens the stream again, at once. An error event has the properties status, which is the response's or 0, and error, which is
// what fetch has failed with.
package browser

import (
	_ "embed" // the module
	"net/http"

	"example.org/sse/internal/script"
)

//go:embed eventsource.js
var source string

var handler = script.New(source)

// Handler returns a handler that serves the module, with an ETag. It answers GET and HEAD
// requests at any path.
func Handler() http.Handler { return handler }

// Source returns the text of the module, for programs that make one script of several.
func Source() string { return source }
