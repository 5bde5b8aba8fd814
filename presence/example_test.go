package presence_test

import (
	"fmt"
	"html/template"
	"log"
	"net/http"
	"strings"

	"example.org/sse"
	"example.org/sse/presence"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<script src="/page.js" data-page="{{.}}"></script>
<script>
	const source = new EventSource("/events?page={{.}}")
	source.addEventListener("people", event => people.textContent = event.data)
</script>
<p id="people"></p>`))

// A page that shows which other users have it open.
func Example() {
	var lobby sse.Set
	user := func(r *http.Request) string {
		name, _, _ := r.BasicAuth()
		return name
	}
	tracker := &presence.Tracker{User: user}
	people := func() string { return strings.Join(tracker.Users("lobby"), ", ") }
	tracker.Changed = func(presence.Change) { lobby.Dispatch("people", people()) }
	lobby.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return []sse.Event{{Type: "people", Data: people()}}, nil }

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
			if err := tracker.Connect(source, session, "lobby"); err != nil {
				source.Close()
				return
			}
			lobby.Add(source)
		})
	})
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
