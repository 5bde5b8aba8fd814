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
// # The script
//
// It is a screenful of plain JavaScript, to be read with GET /page.js. It says when
// the page goes, comes back, is hidden or seen, and renews the session if asked to.
//
// And it puts a class of its own into the place of the browser's EventSource, with
// the same face, which htmx 2 uses without knowing. A stream that the browser gives
// up, as Firefox does when a server restarts and every browser does after an answer
// that is not 200, it opens again, after 2 to 4 s, and then after longer, up to a
// minute: with the id of the last event, and its listeners still there. To stop one,
// close it, upon an event for example. htmx 4 has streams of its own making, comes
// back by itself, and needs the script for its words alone.
//
// # Sessions that end
//
// A page that is closed, left or loaded again says goodbye, and its session ends
// at once. A browser that crashes says nothing: its connections end, and the grace
// runs. A cut cable does not even end them: keep-alive and TCP_USER_TIMEOUT do, as
// package sse tells. If it is a proxy that holds the connection, nothing of this is
// seen by the server: then pages have to renew their sessions, by data-renew="30",
// a number of seconds, in the script's tag, and [Tracker.MaxSilence].
//
// A page that the browser has kept comes back with its session when the user goes
// back to it.
//
// After a restart of the server nobody is present until he is connected again, which
// takes that [Tracker.Key] is the same as before.
//
// # Several processes
//
// Trackers with one Store, one Name and one Key know of each other's sessions: a
// page may go from one process to another, have streams at two, and say its goodbye
// to a third.
//
//	tracker := &presence.Tracker{Key: key, Store: store} // of natslog.OpenStore(ctx, nc, "site", nil), or of redislog
//	defer tracker.Close()                                // after the server's Shutdown
//
// Every process tells every change, by Changed and OnLeave, as it sees it. Who is
// here is state, and not news: so dispatch it to a set of the process's own, with
// History: -1 and a Snapshot, rather than to a [sse.Hub] with a Log, where everybody
// would be sent it once for each process.
//
// What happens at a process counts there at once, whatever becomes of the store, and
// elsewhere as soon as the store has it. When the store is away nobody comes and
// nobody goes at other processes, and then all that has changed does; nobody is gone
// because of that, even if it was for longer than a Lease.
//
// A process that dies is believed for a [Tracker.Lease]; its pages have that time to
// come back to another one, and are never gone in between. The others then delete
// what it has left, in the second after, and with that the sessions end that are
// nowhere else. A process that is cut off is taken for dead as well, and knows it
// before the others do, see [Tracker.Leased]. When it is back, its sessions end there
// too, as they have elsewhere, and those that have streams are present again.
//
// A process costs its store a write for each third of a Lease, a session one when it
// comes, one for each of its page's words, one when its places change, and one when it
// ends; what a goodbye leaves is kept for two Leases. A hidden page that has no stream
// is gone with the process that it was connected to.
//
// # Cost
//
// A session needs some 600 bytes beside its stream, and 6 µs from its Connect to its
// end, with 10,000 others present:
//
//	go test -run '^$' -bench 'Connect|Memory' -benchmem ./presence
//
// With a store, of three processes in one, it is 10 µs until all three know it, and
// 2 KB in the three and the store together:
//
//	go test -run '^$' -bench Shared ./presence
package presence
