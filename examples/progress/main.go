// Progress runs jobs that nobody has to wait for: a page shows how far one is, whenever
// it comes, and what the job has said so far.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"example.org/sse"
)

//go:embed page.html
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(importRows)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

// A progress is how far a job is, as the page gets it.
type progress struct {
	Percent int    `json:"percent"`
	Line    string `json:"line"`
}

// A job reports its progress until it is done, or fails.
type job func(report func(progress)) error

func importRows(report func(progress)) error {
	for row := range 50 {
		time.Sleep(100 * time.Millisecond) // the work
		report(progress{(row + 1) * 2, fmt.Sprintf("row %d imported", row+1)})
	}
	return nil
}

func routes(run job) http.Handler {
	// Each job has a set. What it has reported stays for ten minutes after its end.
	jobs := &sse.Hub{
		History: 1 << 20, HistoryBytes: 64 << 20, HistoryAge: 10 * time.Minute,
		NewSet: func(_ string, s *sse.Set) { s.Replay = true },
	}
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") }
	mux.HandleFunc("GET /{$}", show)
	mux.HandleFunc("GET /{id}", show)
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text()
		go start(jobs.Set(id), run)
		http.Redirect(w, r, "/"+id, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /{id}/events", func(w http.ResponseWriter, r *http.Request) {
		jobs.Set(r.PathValue("id")).ServeHTTP(w, r)
	})
	return mux
}

// start runs a job, and dispatches its progress and its end.
func start(set *sse.Set, run job) {
	err := run(func(p progress) {
		if data, err := sse.JSON(p); err == nil {
			set.Dispatch("", data)
		}
	})
	end := "done"
	if err != nil {
		end = "failed: " + err.Error()
	}
	set.Dispatch("end", end)
}
