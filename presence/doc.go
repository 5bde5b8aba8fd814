// Package presence knows who is here: which users have a page open, and in which
// places, whatever a place is in a program: a room, a document, a board.
//
// It counts sessions. A session is one page of one user, from when it is rendered
// until it is gone, which is not the same as a connection: browsers keep streams
// of pages that were left, htmx 4 has none while a tab is hidden, and a laptop
// loses its network for a moment. So a session has a token, which its page carries
// into its streams; it stays for a [Tracker.Grace] after its last connection was
// lost, and ends at once when its page says goodbye.
//
// # Usage
//
// A page is rendered with a token of its own, and with the script, in front of all
// scripts that open streams:
//
//	data.Token = tracker.Token(user)
//
//	<script src="/page.js" data-page="{{.Token}}"></script>
//
// The tracker serves the script, and takes what it says:
//
//	http.Handle("/page.js", tracker)
//
// Whatever makes the page's streams, their URL has the token:
//
//	new EventSource("/events?page={{.Token}}")                     the browser's own
//	<body hx-ext="sse" sse-connect="/events?page={{.Token}}">      htmx 2
//	<body hx-sse:connect="/events?page={{.Token}}">                htmx 4
//
// Its handler connects the session, in the places that the page shows:
//
//	session, err := tracker.Session(r)
//	if err != nil {
//		http.Error(w, err.Error(), http.StatusForbidden)
//		return
//	}
//	source, err := sse.Accept(w, r, nil)
//	if err != nil {
//		return
//	}
//	defer source.Close()
//	tracker.Connect(source, session, "lobby")
//	lobby.Add(source)
//	source.Detach()
//
// Who is here goes to everybody whenever it changes:
//
//	tracker.Changed = func(c presence.Change) {
//		lobby.Dispatch("people", render(tracker.Users(c.Place)))
//	}
//
// # Sessions that end
//
// A page that is closed, left or loaded again says goodbye, and its session ends
// at once. A browser that crashes says nothing: its connections end, and the grace
// runs. A cut cable does not even end them: keep-alive and TCP_USER_TIMEOUT do, as
// package sse tells. If it is a proxy that holds the connection, nothing of this is
// seen by the server: then pages have to renew their sessions, by data-renew="30",
// a number of seconds, in the script's tag, and [Tracker.Renewal].
//
// A page that the browser has kept comes back with its session when the user goes
// back to it.
//
// After a restart of the server nobody is present until he is connected again.
package presence
