// Notifications has each user's tabs show the same list: what is sent to the user, and
// what is read in one of the tabs, arrives in all of them.
package main

import (
	"context"
	"embed"
	"flag"
	"log"
	"net/http"
	"strconv"
	"sync"

	"example.org/sse"
)

//go:embed page.html
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes()}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

// A note is one notification.
type note struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

// An inbox has each user's notes that are not read. A real one is in a database.
type inbox struct {
	mu    sync.Mutex
	last  int
	notes map[string][]note
}

// user returns who makes a request: here by a parameter, in a real program by the session.
func user(r *http.Request) string { return r.FormValue("user") }

func routes() http.Handler {
	box := inbox{notes: make(map[string][]note)}
	users := &sse.Hub{NewSet: func(name string, s *sse.Set) {
		// A new tab, and one that was away for too long, gets the list as it is.
		s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
			box.mu.Lock()
			defer box.mu.Unlock()
			data, err := sse.JSON(append([]note{}, box.notes[name]...))
			return []sse.Event{{Type: "list", Data: data}}, err
		}
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		users.Set(user(r)).ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /notes", func(_ http.ResponseWriter, r *http.Request) {
		box.mu.Lock() // until it is dispatched, so that events have the order of the changes
		defer box.mu.Unlock()
		box.last++
		n := note{box.last, r.FormValue("text")}
		box.notes[user(r)] = append(box.notes[user(r)], n)
		if data, err := sse.JSON(n); err == nil {
			users.Set(user(r)).Dispatch("note", data)
		}
	})
	mux.HandleFunc("POST /notes/{id}/read", func(_ http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		box.mu.Lock()
		defer box.mu.Unlock()
		for i, n := range box.notes[user(r)] {
			if n.ID == id {
				box.notes[user(r)] = append(box.notes[user(r)][:i:i], box.notes[user(r)][i+1:]...)
				users.Set(user(r)).Dispatch("read", strconv.Itoa(id))
				return
			}
		}
	})
	return mux
}
