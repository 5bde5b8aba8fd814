// Notifications has each user's tabs show the same list, behind a login: what is sent to the
// user, and what is read in one of the tabs, arrives in all of them until the user logs out.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"flag"
	"log"
	"net/http"
	"slices"
	"sync"

	"github.com/alexedwards/scs/v2"

	"example.org/sse"
	"example.org/sse/browser"
)

//go:embed page.html
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	if err := sse.ListenAndServe(context.Background(), &http.Server{Addr: *addr, Handler: routes()}); err != nil {
		log.Fatal(err)
	}
}

// A note is one notification.
type note struct{ ID, Text string }

func routes() http.Handler {
	var mu sync.Mutex
	notes := make(map[string][]note) // by user, those that are not read; a real program has a database
	sessions := scs.New()
	users := &sse.Hub{NewSet: func(name string, s *sse.Set) {
		// A new tab, and one that was away for too long, gets the list as it is.
		s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
			mu.Lock()
			defer mu.Unlock()
			data, err := sse.JSON(append([]note{}, notes[name]...))
			return []sse.Event{{Type: "list", Data: data}}, err
		}
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") })
	mux.Handle("GET /eventsource.js", browser.Handler())
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) { // check a password before
		if err := sessions.RenewToken(r.Context()); err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		sessions.Put(r.Context(), "user", r.FormValue("user"))
	})
	// private adds a handler that gets the user of the request's session.
	private := func(pattern string, h func(w http.ResponseWriter, r *http.Request, user string)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if user := sessions.GetString(r.Context(), "user"); user != "" {
				h(w, r, user)
			} else {
				http.Error(w, "please log in", http.StatusUnauthorized)
			}
		})
	}
	private("GET /events", func(w http.ResponseWriter, r *http.Request, user string) {
		o := &sse.AcceptOptions{Expires: sessions.Deadline(r.Context())}
		sse.Serve(w, r, o, func(source *sse.EventSource) {
			users.Add(source, user)
			if _, ok, _ := sessions.Store.Find(sessions.Token(r.Context())); !ok {
				source.Close() // the user has just logged out
			}
		})
	})
	private("POST /logout", func(w http.ResponseWriter, r *http.Request, user string) {
		if err := sessions.Destroy(r.Context()); err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		users.Set(user).CloseAll() // all tabs reconnect, and those of this session get the 401
	})
	private("POST /notes", func(_ http.ResponseWriter, r *http.Request, _ string) {
		to, n := r.FormValue("to"), note{rand.Text(), r.FormValue("text")}
		data, _ := sse.JSON(n) // of strings
		mu.Lock()              // until it is dispatched, so that events have the order of the changes
		defer mu.Unlock()
		notes[to] = append(notes[to], n)
		users.Set(to).Dispatch("note", data)
	})
	private("POST /notes/{id}/read", func(_ http.ResponseWriter, r *http.Request, user string) {
		mu.Lock()
		defer mu.Unlock()
		notes[user] = slices.DeleteFunc(notes[user], func(n note) bool { return n.ID == r.PathValue("id") })
		users.Set(user).Dispatch("read", r.PathValue("id"))
	})
	return http.NewCrossOriginProtection().Handler(sessions.LoadAndSave(mux))
}
