// Gin serves streams with github.com/gin-gonic/gin.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	// Not Engine.Run, which neither detaches streams nor shuts down.
	srv := &http.Server{Addr: *addr, Handler: routes(new(sse.Set), app.Parrot)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

func routes(news *sse.Set, model app.Model) http.Handler {
	r := gin.New()
	r.Use(gin.Logger(), gin.Recovery())
	r.GET("/news", gin.WrapH(news))
	r.POST("/news", func(c *gin.Context) { news.Dispatch("", c.PostForm("text")) })
	r.GET("/answer", func(c *gin.Context) {
		source, err := sse.Accept(c.Writer, c.Request, nil)
		if err != nil {
			return // the request has been answered
		}
		defer source.Close()
		for word := range model(source.Context(), c.Query("prompt")) {
			if source.Dispatch("", word) != nil {
				return // the client left
			}
		}
		source.Dispatch("done", "")
	})
	return r
}
