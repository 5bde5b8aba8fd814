// Package app is a program without a framework: the routes that the examples have in
// common.
package app

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"

	"example.org/sse"
)

// A Model answers a prompt, word by word, until ctx is done.
type Model func(ctx context.Context, prompt string) iter.Seq[string]

// Parrot is a Model that repeats the prompt.
func Parrot(ctx context.Context, prompt string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word := range strings.FieldsSeq(prompt) {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			if !yield(word) {
				return
			}
		}
	}
}

// Routes returns the program's handlers.
func Routes(news *sse.Set, model Model) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /news", news)
	mux.HandleFunc("POST /news", func(_ http.ResponseWriter, r *http.Request) {
		news.Dispatch("", r.FormValue("text"))
	})
	mux.HandleFunc("GET /answer", func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return // the request has been answered
		}
		defer source.Close()
		for word := range model(source.Context(), r.FormValue("prompt")) {
			if source.Dispatch("", word) != nil {
				return // the client left
			}
		}
		source.Dispatch("done", "")
	})
	return mux
}
