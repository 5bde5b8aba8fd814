// Roles shows everybody the same orders of a restaurant, each in a view of their own: the
// owner sees all of them, the cook neither prices nor names, and a guest their own only.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"strconv"

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

// An order is what an event has in its data.
type order struct {
	Guest string `json:"guest,omitempty"`
	Dish  string `json:"dish"`
	Price int    `json:"price,omitempty"`
}

// user returns who makes a request: here by a parameter, in a real program by the session.
func user(r *http.Request) string { return r.FormValue("user") }

// roles has those who are not guests. In a real program they are in a database; if a role
// changes, close the user's streams, which reconnect with another view.
var roles = map[string]string{"olga": "owner", "carl": "cook"}

// viewOf returns a user's view of the orders. What it leaves out is never sent to the user,
// not even when a stream resumes.
func viewOf(user string) func(sse.Event) (sse.Event, bool) {
	role := roles[user]
	return func(e sse.Event) (sse.Event, bool) {
		var o order
		if err := json.Unmarshal([]byte(e.Data), &o); err != nil {
			log.Print(err)
			return e, false
		}
		switch role {
		case "owner":
			return e, true
		case "cook":
			data, err := sse.JSON(order{Dish: o.Dish})
			e.Data = data
			return e, err == nil
		}
		return e, o.Guest == user
	}
}

func routes() http.Handler {
	orders := sse.Set{History: 1000, Replay: true} // a new page gets the orders so far, in its view
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) { orders.AddFunc(source, viewOf(user(r))) })
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		price, err := strconv.Atoi(r.FormValue("price"))
		if err != nil || user(r) == "" {
			http.Error(w, "an order has a user and a price", http.StatusBadRequest)
			return
		}
		data, err := sse.JSON(order{user(r), r.FormValue("dish"), price})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		orders.Dispatch("", data)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
