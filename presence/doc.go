// Package presence tracks which users are here: which of them have a page open, and
// in which places. A place is whatever a program makes of it: a room, a document, a
// board.
//
// The package counts sessions. A session is one page of one user, from when the page
// is rendered until it is gone. That is not the same as a connection: browsers keep
// streams of pages that were left, htmx 4 has no stream while a tab is hidden, and a
// laptop loses its network for a moment. So a session has a token, which its page
// sends with its streams; the session lasts for a [Tracker.Grace] after its last
// connection was lost, and ends at once when its page says goodbye.
//
// # Usage
//
// Render each page with a token of its own, and with the script. Two pages must not have one
// token, so browsers must not store the page:
//
//	data.Token, data.Session = tracker.Token(user)
//	w.Header().Set("Cache-Control", "no-store")
//
//	<script type="module" src="/page.js" data-page="{{.Token}}"></script>
//
// The tracker serves the script and receives its messages:
//
//	http.Handle("/page.js", tracker)
//
// The URL of each of the page's streams contains the token. The script adds it to its own
// streams, and to those of htmx 2:
//
//	import { connect } from "/page.js"; connect("/events")         a module of the page
//	<body hx-ext="sse" sse-connect="/events">                      htmx 2
//	<body hx-sse:connect="/events?page={{.Token}}">                htmx 4
//
// The handler of the streams connects the session, in the places that the page shows, and
// sends the page who else is there:
//
//	session, err := tracker.Session(r)
//	if err != nil {
//		http.Error(w, err.Error(), http.StatusForbidden)
//		return
//	}
//	sse.Serve(w, r, nil, func(source *sse.EventSource) {
//		tracker.Connect(source, session, "lobby")
//		tracker.Watch(source, "lobby")
//	})
//
// [Tracker.Watch] sends a place's sessions as JSON, or as [Tracker.MembersEvent] renders
// them. [Tracker.Users] returns a place's users, each once however many pages they have, and
// [Tracker.Changed] is called when a user joins or leaves.
//
// Others see the user of a session: it must be a name or a public id, and not the value of a
// cookie.
//
// # Data of a session
//
// A session can have up to 1 KiB of data for others to see: a cursor, a color, or that the
// user is typing. The page sets it by a message to the tracker, or the program does by
// [Tracker.SetData]:
//
//	import { update } from "/page.js"; update({typing: true})
//
// The data reaches all processes, shows in the members of every place where the session is,
// and ends with the session.
//
// # The script
//
// The script is a module of plain JavaScript; read it with GET /page.js. It reports when the
// page is left, restored, hidden or shown, and renews the session if asked to. If the page's
// token is refused, as after a restart with another [Tracker.Key], or another tab has it, which
// was duplicated, the script reloads the page, once; a listener of the document's event
// presence:refused can prevent that with preventDefault.
//
// It exports these functions. Their types are in page.d.ts, in this folder, which imports those
// of package browser:
//
//	connect(url, init)   opens a stream with the page's token
//	update(data)         sets the data of the session, at most once in 100 ms
//	post(url, fields)    sends a form with the page's token, for package locks
//	id()                 returns the page's name, which is Session.Page
//	leave()              ends the session, at a logout for example
//
// A stream of connect is an EventSource of package [example.org/sse/browser], which the script
// contains, and exports as well: it reconnects after every failure, with the id of the last
// event, and notices a dead connection. htmx 2 gets its streams from connect, by
// htmx.createEventSource. htmx 4 makes its own streams and reconnects by itself; it only needs
// the script for presence messages. The browser's EventSource stays as it is: it works for
// presence if its URL has the token, but gives up after any response that is not 200, and is
// kept open when the page is left.
//
// The script works under the policy script-src 'self', and without sendBeacon.
//
// On a site that replaces the body instead of loading pages, as with hx-boost, put the script's
// tag into the body, and the elements with streams as well. Then each new body brings its token:
// the script ends the session of the last one, and its streams reconnect with the new token. If
// the tag is in the head, the first page's session lasts until the page is left.
//
// # The end of a session
//
// A page that is closed, left or reloaded says goodbye, and its session ends at once. A
// browser that crashes says nothing: its connections end, and the grace starts. A cut
// cable does not even end the connections: keep-alive comments and TCP_USER_TIMEOUT do,
// as package sse describes. If a proxy keeps the connection open, the server sees none of
// this. Then pages have to renew their sessions: with data-renew="30" in the script's
// tag, a number of seconds, and [Tracker.MaxSilence].
//
// If the browser has kept the page and the user goes back to it, its session resumes.
//
// After a restart of the server nobody is present until their page reconnects, which
// requires the same [Tracker.Key].
//
// # Times
//
// The defaults need no thought. These are the times after which a session ends, and why one
// might change them:
//
//	goodbye of the page       at once; its user leaves a place 1 s later, so that nobody is
//	                          seen leaving and joining who reloads a page
//	last connection lost      Grace, 8 s: longer if clients take longer to reconnect, shorter
//	                          if locks should be free sooner
//	the same, page hidden     HiddenGrace, 5 minutes: htmx 4 closes streams of hidden pages
//	page silent               MaxSilence, off: for proxies that keep connections of clients
//	                          that are gone
//	process dead or cut off   Lease, 10 s, with a Store: longer if the store may be away for
//	                          longer, such as 20 s for a broker that elects a leader
//
// # Several processes
//
// Trackers with one Store and one Key share their sessions: a page may move from one
// process to another, have streams at two, and say goodbye to a third.
//
//	tracker := &presence.Tracker{Key: key, Store: store} // of natslog.OpenStore(ctx, nc, "site", nil), of redislog or pglog
//	defer tracker.Close()                                // after the server's Shutdown
//
// Every process reports every change, by Changed and OnLeave, as it sees it. Presence is
// state, not a sequence of events: so dispatch it to a set of the process's own, with
// History: -1 and a Snapshot, as Watch does. In an [sse.Hub] with a Log every member would be
// sent each change once per process.
//
// What happens at a process takes effect there at once, even if the store is down, and at
// the others as soon as the store has it. While the store is down, no session joins or
// leaves at the other processes; when it is back they see everything that has changed. No
// session ends because of that, even if the store was down for longer than a Lease.
//
// The sessions of a process that has died stay present for a [Tracker.Lease]. If their pages
// reconnect to another process within that time, they never count as gone. In the second
// after, the other processes delete the records that the process left, and the sessions
// that exist nowhere else end. A process that is cut off is treated as dead, too, and
// knows it before the others do. It counts as cut off until it has heard what the others
// have done meanwhile. When it is back, its sessions end
// there as well, as they have elsewhere, and those that have streams join again.
//
// A process costs its store one write per third of a Lease, and one for each question or
// answer. A session costs a write when it joins, one for each message of its page and each
// change of its data, one when its places change, and one when it ends; the record of a goodbye
// is kept for two Leases. A hidden page that has no stream is gone with the process that it was
// connected to.
//
// # Cost
//
// A session needs some 600 bytes beside its stream, and 6 µs from its Connect to its
// end, with 10,000 others present:
//
//	go test -run '^$' -bench 'Connect|Memory' -benchmem ./presence
//
// With a store, and three processes in one, it takes 30 µs until all three know the
// session, and 2.5 KB in the three and the store together:
//
//	go test -run '^$' -bench Shared ./presence
package presence
