// Echo serves streams with github.com/labstack/echo.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	// Not Echo.Start, which does not detach streams.
	srv := &http.Server{Addr: *addr, Handler: routes(new(sse.Set), app.Parrot)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

func routes(news *sse.Set, model app.Model) http.Handler {
	e := echo.New()
	e.Use(middleware.RequestLogger(), middleware.Recover())
	e.GET("/news", echo.WrapHandler(news))
	e.POST("/news", func(c *echo.Context) error {
		news.Dispatch("", c.FormValue("text"))
		return c.NoContent(http.StatusNoContent)
	})
	e.GET("/answer", func(c *echo.Context) error {
		source, err := sse.Accept(c.Response(), c.Request(), nil)
		if err != nil {
			return nil // the request has been answered
		}
		defer source.Close()
		for word := range model(source.Context(), c.QueryParam("prompt")) {
			if source.Dispatch("", word) != nil {
				return nil // the client left
			}
		}
		return source.Dispatch("done", "")
	})
	return e
}
