// Package tickets admits clients to event streams that cannot send a header with their
// request, as the browser's EventSource cannot: a page whose user is known by a bearer
// token, or that is of another site, which cookies do not reach.
//
// The page asks for a ticket in a request that has the header, and opens the stream with
// the ticket in its URL:
//
//	mux.Handle("POST /ticket", authenticated(func(w http.ResponseWriter, r *http.Request, user string) {
//		io.WriteString(w, issuer.Issue(user, "/events"))
//	}))
//	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
//		user, err := issuer.Redeem(r)
//		if err != nil {
//			http.Error(w, "no valid ticket", http.StatusForbidden)
//			return
//		}
//		sse.Serve(w, r, nil, func(source *sse.EventSource) { hub.Add(source, "user:"+user) })
//	})
//
// URLs end up in logs and histories, so a ticket is good once, for a minute, and for one
// path, and is encrypted. So the browser's own reconnection, with the same ticket, is refused with the 403,
// at which every EventSource stops. The page gets a new ticket then, and resumes with the
// last event's id in the URL:
//
//	let last = "";
//	async function connect() {
//		const response = await fetch("/ticket", {method: "POST", headers: {Authorization: token}});
//		if (!response.ok) return setTimeout(connect, 5000);
//		const ticket = await response.text();
//		const source = new EventSource("/events?ticket=" + ticket + "&lastEventId=" + encodeURIComponent(last));
//		source.onmessage = e => { last = e.lastEventId; show(e.data); };
//		source.onerror = () => { source.close(); setTimeout(connect, 1000 + 4000 * Math.random()); };
//	}
//
// A client that can send headers, such as one that uses fetch, or sse.Client, does not
// need tickets.
package tickets
