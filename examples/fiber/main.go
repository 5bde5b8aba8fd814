// Fiber serves streams with github.com/gofiber/fiber, through its adaptor for handlers
// of net/http.
//
// Fiber is built on fasthttp. There no stream is detached, a client that leaves is
// noticed by the next event or keep-alive, and a shutdown sends no reconnection time.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := routes(new(sse.Set), app.Parrot, &sse.AcceptOptions{KeepAlive: 10 * time.Second})
	if err := a.Listen(*addr, fiber.ListenConfig{GracefulContext: ctx}); err != nil {
		log.Fatal(err)
	}
}

func routes(news *sse.Set, model app.Model, o *sse.AcceptOptions) *fiber.App {
	a := fiber.New() // without a WriteTimeout, which would end every stream
	news.AcceptOptions = o
	a.Get("/news", handler(news))
	a.Post("/news", func(c fiber.Ctx) error {
		news.Dispatch("", c.FormValue("text"))
		return nil
	})
	var answers sse.Set // those that are open
	a.Get("/answer", handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, o)
		if err != nil {
			return // the request has been answered
		}
		defer source.Close()
		answers.Add(source)
		for word := range model(source.Context(), r.FormValue("prompt")) {
			if source.Dispatch("", word) != nil {
				return // the client left
			}
		}
		source.Dispatch("done", "")
	})))
	a.Hooks().OnPreShutdown(func() error {
		news.CloseAll()
		answers.CloseAll()
		return nil
	})
	return a
}

// handler adapts a handler. The context that fasthttp gives a request ends when the
// server begins to shut down, before the streams can end, and never when the client
// leaves.
func handler(h http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		conn := c.RequestCtx().Conn()
		return adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(writer{w, conn}, r.WithContext(context.WithoutCancel(r.Context())))
		})(c)
	}
}

// A writer has the deadlines that the adaptor's lacks, so that a client that reads nothing
// is disconnected.
type writer struct {
	http.ResponseWriter
	conn net.Conn
}

func (w writer) Unwrap() http.ResponseWriter               { return w.ResponseWriter }
func (w writer) SetWriteDeadline(deadline time.Time) error { return w.conn.SetWriteDeadline(deadline) }
