package sse_test

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"log"
	"net/http"
	"time"

	"example.org/sse"
)

// HTML renders a fragment of a page, which htmx can swap in. It may have any number
// of lines.
func ExampleHTML() {
	page := template.Must(template.New("").Parse(`{{define "players"}}<ul>
{{- range .}}
  <li>{{.}}</li>
{{- end}}
</ul>{{end}}`))
	var group sse.Set

	data, err := sse.HTML(page, "players", []string{"Anna", "<Ben>"})
	if err != nil {
		log.Fatal(err)
	}
	group.Dispatch("players", data)
	fmt.Println(data)
	// Output:
	// <ul>
	//   <li>Anna</li>
	//   <li>&lt;Ben&gt;</li>
	// </ul>
}

// greeting is a component. With templ it would be: templ greeting(name string)
type greeting struct{ name string }

func (g greeting) Render(_ context.Context, w io.Writer) error {
	_, err := fmt.Fprintf(w, "<p>Hello, %s!</p>", template.HTMLEscapeString(g.name))
	return err
}

// Component renders a component that templ has generated, or any other type with the
// same Render method.
func ExampleComponent() {
	var group sse.Set

	data, err := sse.Component(context.Background(), greeting{"Anna & Ben"})
	if err != nil {
		log.Fatal(err)
	}
	group.Dispatch("greeting", data)
	fmt.Println(data)
	// Output: <p>Hello, Anna &amp; Ben!</p>
}

// JSON encodes a value, which the page decodes with JSON.parse(event.data).
func ExampleJSON() {
	type point struct {
		X int `json:"x"`
		Y int `json:"y"`
	}
	var group sse.Set

	data, err := sse.JSON(point{3, 4})
	if err != nil {
		log.Fatal(err)
	}
	group.Dispatch("moved", data)
	fmt.Println(data)
	// Output: {"x":3,"y":4}
}

// A complete server that shuts down gracefully on SIGTERM.
func ExampleListenAndServe() {
	var group sse.Set
	mux := http.NewServeMux()
	mux.Handle("GET /events", &group)

	// In this example the context's deadline ends the server instead of a signal.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()

	server := &http.Server{Addr: "localhost:0", Handler: mux}
	if err := sse.ListenAndServe(ctx, server); err != nil {
		log.Fatal(err)
	}
	fmt.Println("shut down")
	// Output: shut down
}
