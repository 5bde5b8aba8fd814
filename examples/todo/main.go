// Todo is a list that everybody sees and changes at once, with chi and htmx 4: a form
// posts, and a stream swaps the list in all pages.
package main

import (
	"context"
	_ "embed"
	"flag"
	"html/template"
	"log"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/go-chi/chi/v5"

	"example.org/sse"
)

//go:embed page.html
var source string

var templates = template.Must(template.New("page").Parse(source))

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	scripts := flag.String("scripts", "node_modules", "folder with the npm package htmx.org")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(*scripts)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

type item struct {
	ID   int
	Text string
}

// A list is what there is to do. A real one is in a database.
type list struct {
	mu    sync.Mutex
	last  int
	items []item
	pages sse.Set
}

// change changes the list, and sends it to all pages in the order of the changes.
func (l *list) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	data, err := sse.HTML(templates, "list", l.items)
	if err != nil {
		log.Print(err)
		return
	}
	l.pages.Dispatch("", data)
}

func (l *list) snapshot(*sse.EventSource) ([]sse.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, err := sse.HTML(templates, "list", l.items)
	return []sse.Event{{Data: data}}, err
}

func routes(scripts string) http.Handler {
	var l list
	l.pages.Snapshot = l.snapshot // for a new page, and one that was away for too long
	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		if err := templates.ExecuteTemplate(w, "page", nil); err != nil {
			log.Print(err)
		}
	})
	r.Method(http.MethodGet, "/events", &l.pages)
	r.Post("/items", func(w http.ResponseWriter, r *http.Request) {
		l.change(func() {
			l.last++
			l.items = append(l.items, item{l.last, r.FormValue("text")})
		})
		w.WriteHeader(http.StatusNoContent) // the stream brings the list
	})
	r.Delete("/items/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(chi.URLParam(r, "id"))
		l.change(func() {
			l.items = slices.DeleteFunc(l.items, func(i item) bool { return i.ID == id })
		})
		w.WriteHeader(http.StatusNoContent)
	})
	r.Handle("/scripts/*", http.StripPrefix("/scripts", http.FileServer(http.Dir(scripts))))
	return r
}
