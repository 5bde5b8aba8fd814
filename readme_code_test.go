package sse_test

import (
	"context"
	"html/template"
	"io"
	"iter"
	"net/http"

	"example.org/sse"
)

// The README's pieces of code, compiled. TestReadme holds the two equal.

func everyone() {
	group := sse.Set{Snapshot: func(s *sse.EventSource) { s.Dispatch("", render(board)) }}
	http.Handle("GET /board", &group)
}

func answer(w http.ResponseWriter, r *http.Request) {
	source, err := sse.Accept(w, r, nil)
	if err != nil {
		return // the request has been answered
	}
	defer source.Close()
	for token := range tokens(r.Context()) {
		if source.Dispatch("token", token) != nil {
			return // the client left
		}
	}
}

func eachTheirOwn() {
	users.DispatchFunc(func(s *sse.EventSource, user string) (sse.Event, bool) {
		return sse.Event{Type: "greeting", Data: "hello, " + user}, user != ""
	})
}

func rendered(ctx context.Context, templates *template.Template, component interface {
	Render(ctx context.Context, w io.Writer) error
}, card any) (string, error) {
	data, err := sse.HTML(templates, "card", card) // html/template
	data, err = sse.Component(ctx, component)      // templ
	data, err = sse.JSON(card)
	return data, err
}

func served() error {
	err := sse.ListenAndServe(context.Background(), &http.Server{Addr: "localhost:8080"})
	return err
}

var (
	_ = []any{everyone, answer, eachTheirOwn, rendered, served}

	board  any
	users  sse.Map[string]
	render func(any) string
	tokens func(context.Context) iter.Seq[string]
)
