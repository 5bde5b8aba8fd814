package presence_test

import (
	"context"
	"fmt"
	"html"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"example.org/sse"
	"example.org/sse/presence"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<script type="module" src="/page.js" data-page="{{.}}"></script>
<script type="module">
	import { connect } from "/page.js"

	const source = connect("/events")
	source.addEventListener("presence", event => {
		people.textContent = JSON.parse(event.data).members.map(m => m.user).join(", ")
	})
</script>
<p id="people"></p>`))

// A page that shows which other pages are open.
func Example() {
	user := func(r *http.Request) string {
		name, _, _ := r.BasicAuth()
		return name
	}
	tracker := &presence.Tracker{User: user}
	http.Handle("/page.js", tracker)
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		token, _ := tracker.Token(user(r))
		w.Header().Set("Cache-Control", "no-store") // each page has a token of its own
		if err := page.Execute(w, token); err != nil {
			log.Print(err)
		}
	})
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		session, err := tracker.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			tracker.Connect(source, session, "lobby")
			tracker.Watch(source, "lobby")
		})
	})
}

// What users see of each other.
func ExampleTracker_SetData() {
	var tracker presence.Tracker
	for _, user := range []string{"Bob", "Ann"} {
		source, s := exampleStream(&tracker, user)
		tracker.Connect(source, s, "the lobby")
		if err := tracker.SetData(s, map[string]string{"wrote": "hello from " + user}); err != nil {
			log.Print(err)
		}
	}
	for _, m := range tracker.Members("the lobby") {
		fmt.Println(m.User, string(m.Data))
	}
	// Output:
	// Ann {"wrote":"hello from Ann"}
	// Bob {"wrote":"hello from Bob"}
}

// The events of Watch, rendered as HTML.
func ExampleTracker_Watch() {
	tracker := &presence.Tracker{
		MembersEvent: func(place string, members []presence.Member) sse.Event {
			var b strings.Builder
			for _, m := range members {
				fmt.Fprintf(&b, "<li>%s</li>", html.EscapeString(m.User))
			}
			return sse.Event{Type: "people", Data: b.String()}
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			tracker.Connect(source, presence.Session{User: "Ann & Bob", Page: "1"}, "the lobby")
			tracker.Watch(source, "the lobby")
		})
	}))
	defer server.Close()
	client := sse.Client{URL: server.URL}
	for event, err := range client.Events(context.Background()) {
		fmt.Println(event.Type, event.Data, err)
		break
	}
	// Output: people <li>Ann &amp; Bob</li> <nil>
}

// Changes, the end of a session, and the users who are present in between.
func ExampleTracker_OnLeave() {
	tracker := presence.Tracker{
		Grace: -1,
		Changed: func(c presence.Change) {
			fmt.Println(c.User, map[bool]string{true: "has joined", false: "has left"}[c.Joined], c.Place)
		},
	}
	tracker.OnLeave(func(s presence.Session) { fmt.Println("a page of", s.User, "is gone") })
	source, s := exampleStream(&tracker, "Ann")
	if err := tracker.Connect(source, s, "the lobby"); err != nil {
		log.Print(err)
	}
	tracker.Leave(s)
	// Output:
	// Ann has joined the lobby
	// a page of Ann is gone
	// Ann has left the lobby
}
