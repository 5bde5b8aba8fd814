package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"example.org/sse"
)

func main() {
	var clock sse.Set
	go func() {
		for now := range time.Tick(time.Second) {
			clock.Dispatch("", now.Format("<b>15:04:05</b>"))
		}
	}()
	http.Handle("GET /events", &clock)
	http.Handle("GET /", http.FileServer(http.Dir("static")))
	err := sse.ListenAndServe(context.Background(), &http.Server{Addr: "localhost:8080"})
	if err != nil {
		log.Fatal(err)
	}
}
